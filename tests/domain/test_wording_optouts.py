"""What people write who want to hear no more: none may be missed.

The first third was written before the rules were. The others came after them, in six rounds, by
writing what came to mind before any rule was mended for them; what a round showed was mended by a
rule, not by its sentence. `|` stands between texts.
"""
# ruff: noqa: RUF001

import pytest

from notifyq.domain.wording.reading import Intent, read_text


def texts(block: str, *others: str) -> tuple[str, ...]:
    """Return a block's texts, `|` between them, and those that do not fit into a block."""
    return (*(text.strip() for text in block.replace("\n", " ").split("|")), *others)


OPT_OUTS = texts(
    """
STOP please stop | stop now | Stop texting this number | STOP ALL |
Please stop sending me these messages | take me off your list | take me off this list please |
delete my number | lose my number | leave me alone | do not contact me again | don't text me |
don't text me anymore | never text me again | no more texts | no more messages please |
I want to unsubscribe | how do i unsubscribe | How do I opt out of these texts? | opt me out |
please opt me out | I'd like to opt out | I no longer wish to receive these messages |
I do not wish to receive any more texts | I don't want to be contacted | I said stop |
I told you to stop | stop it | stop this | just stop | Stop!!! please | STOP. | 'stop' |
«STOP» | (stop) | STOP Sent from my Verizon Galaxy | Stop, please | stop thanks | ok stop |
no stop | stop u | U need to stop | Stop spamming me | stop with the texts | quit texting me |
quit sending me this crap | cease and desist | I revoke my consent |
I withdraw my consent to receive texts | revoke | End | end please | quit | exit | unsub |
unsubscribe me | UNSUBSCRIBE ME FROM THIS LIST | remove my number from your list | remove |
take my number off | get me off this list | wrong person | you have the wrong number |
You've got the wrong number | Sorry, wrong number | this is not his number |
this isn't Bob's phone | nobody here by that name | there is no Michael here |
I don't know anyone named Steve | who is this? stop texting me | fuck off | F*** off |
go to hell | fuck you asshole | eat shit | leave me the fuck alone | stop fucking texting me |
STFU | screw you | this is spam | SPAM | scammer | 🛑🛑🛑 | ✋ | ✋🏽 | ⛔️ | 🛑 please |
STOP 🛑 | stop 😡 | 🖕 | basta | no me manden más mensajes | no me escriban |
no quiero recibir más mensajes | ya no quiero mensajes | quítenme de la lista |
quíteme de su lista por favor | dar de baja | quiero darme de baja | denme de baja |
número equivocado | se equivocó de número | déjenme en paz | no molesten | parar por favor |
cancelar mensajes | deje de enviarme textos | no envíen más mensajes | borrenme de su lista |
No mas mensajes | no más por favor | desuscribirme | ARRET | arrêt | stop svp | arrêtez svp |
arrêtez de m'envoyer des messages | arrête de m'écrire | ne m'envoyez plus rien |
je ne veux plus recevoir de messages | je ne veux plus de vos sms | plus de messages svp |
me désabonner | se désabonner | désabonnement | désinscription | désinscrivez-moi |
retirez-moi de votre liste | supprimez mon numéro | mauvais numéro |
vous vous trompez de numéro | laissez-moi tranquille | foutez-moi la paix |
ne me contactez plus | cessez | annuler | résilier | connard | TD | sair | abmelden | стоп |
退订 | 停止 | Stop texting my phone | make it stop | please make these stop | text me no more |
if you don't stop texting me I will call the police | why won't you stop texting me |
stop or I'll report you | stop messaging me I will sue | Stp | stpo | sotp | stopp | qiut |
unsubscibe | unsuscribe | reomve | cancle | canel | stoptexting | pleasestop | s.t.o.p |
S-T-O-P | s t o p texting me | UN SUBSCRIBE | ST OP | ＳＴＯＰ | ⓈⓉⓄⓅ | 𝓼𝓽𝓸𝓹 |
ＵＮＳＵＢＳＣＲＩＢＥ | $top | QU1T | CΑΝCΕL | Stop calling me | don't call me again |
stop contacting me at this number | get lost | go away | no texts | no spam |
not interested, remove me | no thanks, take me off the list | Do not text this number |
Quit bugging me | I did not sign up for this. Remove. | PLEASE REMOVE ME FROM YOUR TEXT LIST |
Kindly remove this number from your records | stop these messages immediately |
Stop! Stop! Stop! | STOP STOP STOP | STOPSTOPSTOP | Enough already stop |
For the last time, stop texting me | I've asked you three times to stop |
I already told you to stop!!! | how many times do I have to say stop |
This is the third time I've asked to be removed | Please discontinue these texts |
please end these messages | end all texts | Terminate | opt  out | Opt-Out Please | opting out |
I am opting out | I'd like off this list | get my number off your list |
Remove my info from your database | delete me from your system | Erase my number |
unsubscribe from all | UNSUBSCRIBE NOW | Please unsubscribe me thank you | unsubscribed |
i unsubscribe | Un-subscribe | unsubscribe john smith | stahp | stop bro | stop dude |
Stop it already | STOP TEXTING ME!!!!!! | Don't message this number again |
Do not ever contact me | Never contact me again | I do not want your texts | dont want texts |
no longer want to receive updates | We don't want any more messages |
I didn't ask for this, stop | Why are you texting me? Stop | who are you? stop texting |
I don't know you, stop messaging me | you have the wrong person, I'm not Bob |
I think you have the wrong number | Wrong nbr | This is not Jessica's number |
this is no longer Mike's phone | I'm not Karen | No Karen here | nobody by that name here |
She doesn't live here anymore | you got the wrong guy | F you | fuk u | f u c k off |
fuck off and die | suck my dick | kiss my ass | bite me | you people are idiots | drop dead |
piss off | bugger off | shut the fuck up | stop u idiots | STOP ASSHOLES | stop harassing me |
this is harassment, stop | I will sue you | reported | Blocked | blocking this number |
I am reporting you to the FCC | take me off | TAKE ME OFF THIS FUCKING LIST |
please take my name off of your list | Cancel please | please cancel | CANCEL ALL |
cancel texts | cancel all messages | cancel notifications | stop alerts |
Stop notifications please | turn off notifications | turn these texts off | no more |
no more pls | no more spam | No more!!! | I'm done, stop | Stop 👎 | 👎 stop | ✋ stop | 🚫 |
Hello, please stop sending me messages. Thank you, Maria | STOP Enviado desde mi iPhone |
*STOP* | ~stop~ | <STOP> | [stop] | #stop | /stop | stop/ | !stop | stop? | STOP?! | Stop… |
…stop | sTOp | 𝚂𝚃𝙾𝙿 | 🅂🅃🄾🄿 | 🅢🅣🅞🅟 | ᔕTOᑭ | 5TOP | ST0PP | STOΡ | сancel | UNSUBSCRIВE | alto |
alto ya | basta ya | para ya | ya no me manden mensajes | ya no me mande nada |
No quiero más textos | no quiero mas de sus mensajes | No me contacten más |
por favor dejen de molestarme | déjame en paz | me equivocaron de número |
está equivocado de número | tiene el número equivocado | este no es el número de Juan |
no soy Juan | bórreme de la lista | elimínenme de su base | elimine mi número |
quiero cancelar los mensajes | cancelen los mensajes | detener mensajes |
detengan los mensajes | desuscríbanme | no más spam | cancelación | anular | fin | salir |
no molestar | vete a la mierda | pendejos | chinga tu madre | stop por favor | stop mensajes |
stop ya | NO MAS TEXTOS POR FAVOR | stop merci | stop messages | stop sms | stop pub |
stop publicité | arrêter | arretez svp | arrêtez ces messages | arrêtez les sms |
cessez de me contacter | cessez ces messages | ne m'écrivez plus | ne me textez plus |
ne plus m'envoyer de sms | ne plus recevoir de sms | je ne souhaite plus recevoir vos messages |
je veux me désabonner | je souhaite me désinscrire | désabonnez moi svp |
enlevez-moi de la liste | supprimez moi de vos contacts | vous avez le mauvais numéro |
erreur de numéro | je ne suis pas Pierre | fichez-moi la paix | va te faire foutre |
plus de sms | plus de pub | pas de pub | stopper | annulation | parem | descadastrar |
stopp bitte | 取消 | 停 | 수신거부 | Hey can you guys stop with these texts please |
stop it with the spam already | No more from you | I don't want to hear from you anymore |
You need to stop contacting me | Please cease all communication | Stop all communication |
discontinue all messages to this phone | not my account, stop texting |
I'm not a customer, please remove me | We moved away please take us off your list |
How do I get off this list? | how do I make this stop | how can I stop getting these |
get me off of here | I keep getting these, please stop | Please quit sending these |
stop notifying me | do not notify me | do not send me anything | dont send me anything else |
Don't ever text me again | never message me | nobody asked you, stop | stop this nonsense |
stop this crap | stop bugging us | leave us alone please | Please leave my phone alone |
forget my number | I revoke permission to text me | You don't have my consent |
I never agreed to this | I did not consent to these messages | consent withdrawn |
Removed please | REMOVE MY NUMBER | REMOVE ME!!!! | remove plz | Rem0ve me | Delete my info |
please delete me | DELETE | opt-out all | optout now | OPTOUT ALL | I choose to opt out |
I wish to opt out of all communications | unsubscribe!! | unsubscribed please | Unsubcribe me |
unsubscribe pls | Unsubscirbe | unsubscrbe | UNSUBSCRIBE ALL | STOP 2 END | stop to end |
Reply stop | text stop | I am typing STOP | Per the TCPA, stop contacting me | End this now |
End it | END ALL | quit it | quit now | Quit texting!!! | cancel this | Cancel everything |
cancel all notifications please | Stop the alerts | no alerts please | turn off alerts |
please turn off text messages | disable texts | wrong number bro | Wrong number dude stop |
This is the wrong number | ur texting the wrong person | You're texting the wrong number |
I think u have the wrong number, I'm not Dave | no one named Dave here |
That's not me, wrong number | this number belongs to someone else now |
new owner of this number | You have reached the wrong person please remove | Fuck this | f you |
fuckkkk offff | go fuck yourself | You suck | assholes!! | shut up | leave me alone creep |
ya basta de mensajes | Por favor no me envíen más textos | No quiero recibir nada más |
por favor quitar mi número | no deseo recibir mensajes | Ya paren | PAREN |
deténganse por favor | borren mi número | Usted tiene el número incorrecto |
ese no es mi nombre, numero equivocado | Bonjour, merci d'arrêter les messages |
merci de me retirer de la liste | veuillez me désabonner | veuillez arrêter |
Arrêtez de me texter | je ne veux plus rien recevoir | ne m'appelez plus | pas de messages svp |
enlevez mon numéro | c'est pas le bon numéro | vous faites erreur de numéro |
Please halt all texts to me | I'd appreciate it if you stopped texting me |
pls take this number off ur list | can you please remove my cell number from your contacts |
Stop sending me your garbage | STOP SENDING THIS TO ME | Stop sending stuff |
I am not interested please stop | Not interested. Stop. |
no longer interested in receiving texts | I'm no longer interested, remove me |
dont want this, unsubscribe | dont ever contact this phone again |
you're not allowed to text me | I do not give permission to text | Please do not reply. Stop. |
STOP STOP | Stoppppp | stop plssss | ok stop now | yes stop | Stop yes |
Stop and remove my number | stop and delete my info | unsubscribe and remove |
Cancel and remove me | Stop & unsubscribe | end quit stop | STOP, QUIT, END |
stop!!! stop!!! stop!!! | just stop already | seriously stop | Stop it now please |
will you please stop | would you stop | can u stop | cud u pls stop | plz quit | Plz end |
please end | Please revoke | Please unsubscribe this number | unsubscribe this phone |
I would like to be unsubscribed | please unenroll me | Unenroll | opt me out now |
I want to opt-out please | Opt out of text messages | opt out from sms |
opt-out of all marketing | Get me off your mailing list | Take me off of your text list please |
Remove this phone number | please remove this cell | remove our number | leave me be |
do not bother me | don't bother me again | Go away and stop texting | wrong number lol |
wrong person sorry | i think you have the wrong person | Sorry but you have the wrong number |
u got wrong number | this isn't Sarah | This is no longer Sarah's number |
Sarah no longer has this number | Not Sarah | who tf is this stop texting me | bitch stop |
stop bitch | fuck off scammer | fucking idiots | you are a bunch of idiots |
go fuck yourselves | you're an asshole | eat shit and die | S T O P ! | S.T.O.P | s_t_o_p |
st0p texting me | sToP mEsSaGiNg | stop  please | stop;please | stop/please | stop-please |
stop…please | pare por favor | paren ya por favor | quiero que paren |
ya no quiero que me escriban | No me vuelvan a escribir | no vuelva a llamarme |
no me envien nada | no enviar más | no mandar mensajes | dejen de molestar |
dejen de mandar mensajes | deje de escribirme | cancelar suscripcion de mensajes |
Quiero salir de la lista | sácame de la lista | me quiero desuscribir | dame de baja |
dar baja | solicito la baja | baja por favor | Cancelar por favor | persona equivocada |
numero incorrecto | este numero ya no es de Juan | aquí no vive Juan | stop les messages |
arrêtez tout | arrêtez maintenant | arrêtez de m'embêter | ne m'envoyez plus de textos |
n'envoyez plus rien | je veux plus de messages | je ne veux plus de notifications |
svp arrêtez de m'envoyer des sms | me retirer de la liste svp | retirez mon numéro |
désinscription svp | se désinscrire | je me désabonne | annulez svp | mauvaise personne |
c'est un mauvais numéro | vous avez un faux numéro | pls stop texting me its annoying |
Please stop sending text messages to my phone | stop these annoying texts |
Stop with your spam messages | quit blowing up my phone | Stop blowing up my phone |
I want these to stop | make these messages stop | please let this stop | I want you to stop |
i need u to stop | Please take my number out of your system | scratch my number off your list |
take this number out of your database | Remove from list | remove from your list |
Remove number | off the list please | Unsubscribe this number please | How can I unsubscribe? |
where do I unsubscribe | I would like to be removed from your list | I want off | I want out |
opt out please thank you | Please opt this number out | Do not contact | do not text |
DO NOT CALL OR TEXT | don't call or text me | no more calls or texts |
no more messages to this number | No further messages please | no further contact |
cease contact | end contact | stop contact | I don't want anything from you |
I want nothing from you | don't want your spam | i don't want to get these |
I dont need these reminders | we are not interested in your messages |
Not interested. Take me off your list. | wrong number buddy |
You have the wrong number. Please remove | you texted the wrong number |
this isn't the right person | I am not the person you are looking for | there's no Linda here |
no Linda at this number | stop ffs | STOP for the love of god | stop you morons | screw off |
get a life and stop texting | leave me tf alone | Basta de textos | no me molesten más |
no me vuelvan a mandar mensajes | no quiero nada de ustedes | quíteme por favor | bórrenme |
ya no me escriban por favor | número equivocado amigo | arrêtez s'il vous plaît |
stop s'il vous plaît | merci d'arrêter | je veux arrêter | plus jamais de sms |
désabonnez-moi svp merci |
STOP1 | UNSUBSCRIBE 4155550123 | optout 77 | STOPALL 1 | Stop texting +1 415 555 0123 |
Laughed at “Your order shipped. Reply STOP to end” stop | STOP to all of this |
stop w/ the messages | STOP TEXT | stop my texts | For heaven's sake stop sending these |
kindly cease texting this line | y'all need to stop texting me | u guys need to quit texting |
I am on the do not call list | I'm on the national do not call registry |
put me on your do not call list | add me to your do not contact list |
please put this number on your DNC list | do not disturb me with texts |
no longer text this number | You no longer have permission to text this phone |
I rescind permission | please discontinue service to this number |
I'd like to stop receiving these | I want to stop getting these texts |
please make sure I get no more of these texts | how do I turn this off |
can you turn off these alerts | please disable notifications for this number | unfollow |
mute me from your list | this is my work phone stop texting it |
I am 12 years old stop texting me | my husband died, please stop texting this phone |
she passed away please remove this number | This is a business line, do not text it |
landline, do not text | Nobody asked for your texts | never asked for these texts |
I didn't ask to be texted | get my number out of your phone | delete this contact |
Erase me from your system please | drop me from your list | cross me off your list |
scrub my number from your system | strike me from your records |
Stop, you're texting the wrong person | Wrong number again!!! |
you've had the wrong number for months | not the person you want, stop texting | Stoppit |
stop....... | StOp pLeAsE | 5t0p | st op | s-top | STOP👎👎 | STOP ❌ | ❌ STOP ❌ |
🛑 STOP 🛑 STOP | ✋ no more | unsubscribe!!!! | Unsuscribe me pls | unsubscibe me | unsubsribe |
unsubcribe from this | Please unsub me | unsub from everything | opt me out of everything |
Opt-out! | OPT OUT NOW | optout please | opted out | I opt out | I revoke all consent |
revoke my permission to be texted | consent revoked | end texts | END!!! |
end it all, no more texts | end this subscription to texts | quit messaging |
quit messaging my phone | QUIT!! | fuck off and stop texting me | stop texting me you idiots |
stop spamming | enough with the spam | ya no más mensajes por favor | no quiero más alertas |
paren de mandarme textos | dejen de mandarme textos | deja de escribirme | no me texteen más |
quíteme de esta lista | por favor elimine mi número de su lista | ya párenle con los mensajes |
stop con los mensajes | cancelar alertas | número incorrecto | no soy la persona que busca |
arrêtez les textos | arrêtez de me harceler | stop aux textos | ne m'envoyez plus de messages svp |
je ne veux plus de textos | désinscrire | désabonnez-moi | enlevez-moi de votre liste svp |
ce n'est pas le bon numéro | UNSUBSCRIBE #12 | I've moved on, stop texting my old line |
stop sending me stuff about cars | quit w the texts already | Take this phone off your robo list |
why am I still getting these? STOP | how many times must I text STOP | omg stop | plz stop thx |
stop thank u | STOP!! not interested | No. Stop. | no means no, stop |
Don't want these. Unsubscribe. | I do not consent to texts |
You do not have my permission to contact me | I withdraw consent | revoke consent now |
never contact this number again | never ever text this number | please lose this number |
this number is for emergencies only, stop texting | remove 4155550123 from your list |
delete 415 555 0123 from your records | wrong number dude | U have the wrong number pls stop |
I'm not who you think I am, wrong number | This is not Deborah | there is no Deborah here |
no Deborah at this number | i dont know who you are, stop | unsubscrib | unsubscibed | UNSUBCRIBE |
stopp it | sttop | STPO | otpout | opt.out | Opt/out | oPtOuT | s t o p please | S*T*O*P |
𝗦𝗧𝗢𝗣 texting me | ЅТОР please | Liked “Sale today! Reply STOP to end” unsubscribe |
Disliked “Reply STOP to end” stop texting me | Reacted 😡 to “Reply STOP to end” STOP |
no me mande mas mensajes | no quiero sus mensajes | deje de mandar mensajes |
ya basta con los textos | quiero cancelar estos mensajes | arrêtez les messages | stop les sms |
plus de messages | ne m'écrivez plus jamais | please block me from your system |
take me out of your system | I'm tired of these texts, stop | this is annoying stop |
you are annoying, unsubscribe me |
bye, unsubscribe | I'd rather not get these texts | I would prefer not to receive texts |
please refrain from texting me | refrain from contacting me
""",
    '"STOP"',
    "stop\u200b",
    "\u200bSTOP",
    "\ufeffSTOP",
    "\u202eSTOP",
    "stop\n\n-- \nJohn Smith\nSent from my iPhone",
    "STOP\nSent from my iPhone",
    "wrong # ",
    "Stop.\nThanks",
    "Hi\nstop texting me please",
    "STOP\n--\nBob Jones, Realtor",
    "stop\n\nGet Outlook for iOS",
    "STOP\nEnvoyé de mon iPhone",
    '"Stop"',
    "s\u200bt\u200bo\u200bp",
    "st\u00adop",
    "S\u0336T\u0336O\u0336P\u0336",
    "Stop\u200b texting\u200b me",
    'Liked "Reply STOP" STOP',
    "Loved “Reply STOP to end”\nstop",
    "Hello\nSTOP",
    "Got it\nunsubscribe please",
    '"stop"!',
    "opt  -  out",
    "I'm running late\nSTOP",
    "Yes\nstop texting me",
)

# Opt-outs, as far as anybody can tell: a person reads them, and none is taken for business.
HELD = texts(
    """
sick of your texts | tired of these messages |
STOP 2 | stop 12345 | Stop 24273 please | stop - 88911 | cancel 24273 | quit 5 | STOP STOP 99 |
STOP these 3 texts a day | alto 2 | ARRET 36111 | please stop these msgs im at work | STOP!!!!!!1 |
REVOKE 1 | I have had enough of these messages | Stop 7 thanks | Please STOP 24273 | STOP CODE 88 |
end 40404 | didn't I tell you to stop | STOP as in stop | for the tenth time STOP |
do not use this number anymore | please remove 415-555-0123 |
my number is 4155550123, take it off your list | ＳＴＯＰ 2 | BAJA 2
""",
    "See you at 5\nunsubscribe",
    "ok\nSTOP 2",
)


def test_the_table_is_large_and_has_no_text_twice() -> None:
    assert len(OPT_OUTS) >= 200
    assert len({*OPT_OUTS, *HELD}) == len(OPT_OUTS) + len(HELD)


@pytest.mark.parametrize("text", OPT_OUTS)
def test_an_opt_out_is_not_missed(text: str) -> None:
    assert read_text(text).intent is Intent.OPT_OUT


@pytest.mark.parametrize("text", OPT_OUTS)
def test_what_is_recorded_is_never_the_persons_text(text: str) -> None:
    word = read_text(text).word
    assert word is None or word == word.casefold()


@pytest.mark.parametrize("text", HELD)
def test_an_opt_out_that_may_be_another_thing_is_held_for_a_person(text: str) -> None:
    assert read_text(text).intent is Intent.UNCLEAR

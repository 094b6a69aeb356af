"""What people write about their business: none may be taken for an opt-out.

UNCLEAR has what can honestly be read both ways; a person reads those. `|` stands between texts.
"""
# ruff: noqa: RUF001

import pytest

from notifyq.domain.wording.reading import Intent, read_text


def texts(block: str, *others: str) -> tuple[str, ...]:
    """Return a block's texts, `|` between them, and those that do not fit into a block."""
    return (*(text.strip() for text in block.replace("\n", " ").split("|")), *others)


BUSINESS = texts(
    """
yes please | No | no thanks | No thank you | Nope | ok | OK thanks | Okay, see you then | Thanks! |
thank you so much | Thx | Confirm | C | Y | N | 1 | 2 | 👍 | ❤️ | 😂 | Got it | Perfect |
Sounds good | See you at 5 | I'll be there at 3:30 | Running 10 min late | I'm on my way |
I'm here | Just parked | I'm outside | On my way, 5 minutes | cancel my appointment |
Please cancel my appointment | Cancel my appointment for Tuesday |
I need to cancel my appointment | can you cancel my order | cancel order 4412 |
Cancel the delivery please | Cancel tomorrow's visit | please cancel my 3pm |
I'd like to cancel my reservation | need to cancel and reschedule | Can we reschedule? |
reschedule please | Can I move it to Friday | the end | The end of the street |
at the end of the driveway | End of the hall, last door | It's at the end unit |
I'll stop by tomorrow | Can you stop at the gate | Can you stop by the office first |
the bus stop | Bus stop on 5th | next stop is mine | this is my stop | last stop |
Meet me at the stop sign | Non-stop | full stop | quit my job so new address |
I quit my job, please use my personal email | he quit | please end the call |
please don't end the call | no more boxes than two | no more than 2 please |
No more than two boxes please | I have no more questions | nothing more thanks |
I'm at Stop & Shop | Deliver to Stop-N-Go on 3rd | 123 Main St Apt 4 | 4B | 7D |
Gate code is 4412 | Code 1234# | The code is *5512 | Leave it at the door | Leave at front desk |
please leave with neighbor | Leave | leave it | Don't leave it outside |
don't stop at the gate, come in | please don't cancel my order | don't forget the receipt |
do not ring the bell | Do not disturb the dog | Don't call when you arrive, baby is sleeping |
please don't knock | don't send the package until Friday |
Please stop delivering to the back door | Can you stop leaving the gate open |
Please remove the old address from my account | remove item 3 from my order | remove the fries |
remove 2 boxes | wrong address | That's the wrong address | wrong order |
You sent me the wrong item | You delivered the wrong order | wrong number of boxes |
I don't want the receipt | I don't want the pickles | I don't have a car |
I didn't get the message | I never got a text | I did not receive my package |
did not get the code | I don't get your texts | Didn't receive the email | where is my order |
Where is my driver? | how long | who is this? | Who's this | new phone who dis |
what is this about | What time? | what time does it end | When does it end? |
when does the sale end | Does the bus stop there? | does it stop there | can't stop laughing |
I can't make it | can't come today | sick today | My kid is sick, we can't come |
it won't stop raining | the bleeding won't stop | Should I stop taking the medication? |
Do I stop the antibiotics | can I stop the meds now | When can I stop taking the pills |
should I stop eating before surgery | I stopped taking it yesterday |
I stopped by but you were closed | stopped | ended | I ended up going | weekend works |
Endo appointment | I'm going to quit smoking | quit smoking program info | cancelled? |
Was it cancelled | has my flight been canceled | opt for the blue one | I'll opt for delivery |
out of town | I'm out | Help me find the place | help with my order | Info on parking? |
need help with the door | Call me | please call me | call me when you get here |
Text me when you are close | text me the code | text me at 5 | Please text my wife instead |
message received | email me the invoice | Send me the link | send it again | resend | alright |
cool | np | lol | haha | fine | Good morning | hi | Hello? | Start at 9 | start the order |
I'll start tomorrow | yes I can | yes at 5 | YES 5pm | unstoppable | can you unstop the sink |
Sunday | Monday 3pm | Tues | 5 | 5:30 | $50 | 50% | 100 | 4155550123 | my number is 415-555-0123 |
My new number is 4155550199 | john.smith@example.com | https://example.com/stop | www.stop.com |
John Stoppard | Mr. Stopp is my doctor | Ms End | shop | step | Shop now | Step 2 is done | top |
atop | spot | post | stomp | stoop | suit | quite | quiet | quilt | cancer | Carcel |
canceled my other card | remote | Sí | si gracias | No gracias | Sí, confirmo | Ya voy |
ya llegué | Voy en camino | estoy en la puerta | alto por favor en la puerta |
Pare en la esquina por favor | ¿Puede parar en la puerta? | para mí | para mañana por favor |
Es para mi mamá | para las 5 | Pare aquí | cancelar mi cita | Quiero cancelar mi cita del lunes |
cancele mi pedido por favor | No puedo ir mañana | no más de dos cajas | no más tarde de las 5 |
baja por favor a la puerta | bajo en 5 minutos | ya bajo | voy a bajar | el fin de semana |
fin de mes | al final de la calle | en la parada del autobús | no me llegó el mensaje |
no me envíen el paquete hoy | No recibí el código | ¿Quién es? | mande el paquete |
Deje el paquete en la puerta | déjelo afuera | no toque el timbre |
mi número nuevo es 415 555 0123 | Quite la cebolla | sin cebolla | ayuda con mi pedido | Gracias |
vale | perdón, llego tarde | Oui | oui merci | Non merci | D'accord | J'arrive |
je suis devant la porte | arrêtez-vous devant la porte svp | l'arrêt de bus | à l'arrêt du bus |
annuler mon rendez-vous | Je voudrais annuler mon rendez-vous de demain | annulez ma commande |
plus de pain svp | pas plus de deux | fin de semaine | je suis en fin de réunion |
J'ai pas reçu le code | je n'ai pas reçu le message | Laissez le colis devant la porte |
mauvaise adresse | Qui êtes-vous ? | Appelez-moi | ne sonnez pas |
I'm driving with Focus turned on. I'll see your message when I get where I'm going. |
I don't know yet | I don't know the code | no parking here | no dogs here | nobody home |
nobody is home until 5 | no one here to sign | My dog passed away, can't come tomorrow |
That sucks | oh shit | damn | hell yes | shit I forgot my appointment |
where the fuck is my order | This is ridiculous, where is my package |
remove me from the waitlist | take me off the Friday class | count me out for friday |
I can't stop by today | my last day is Friday | the driver won't stop calling me |
your driver didn't stop | He didn't stop at my house | the truck didn't stop |
Tell him to stop at unit 5 | please have the driver stop at building C | route stop 12 | pit stop |
one stop shop | Please stop the order | hold my mail | pause my delivery |
Can you stop by the house and cancel the alarm? | I want to end the lease | End date please? |
What is the end time | end of day works | End of May | By the end of the week |
The dead end street | quit claim deed is signed | quitting time is 5 | Mr Quinn |
I got a stop payment notice | Put a stop payment on it | Is there a stop in Dallas? |
How many stops before mine | Which stop | what stop is it | Third stop | Are you the last stop? |
I'll be at the stop | wait at the stop | they stop at noon | When do deliveries stop |
Do you stop at 5 | The rain will stop soon | Tell the driver to stop honking |
I would like to cancel my membership | Cancel Friday keep Saturday | cancel 1 of the 2 |
cancel it and rebook | I never canceled | did you cancel my appt? | who canceled it |
cancel or confirm? | Sorry need to cancel today | remove the hold |
Remove John from the appointment | can you remove the tip | please remove the charge |
take me off hold | take me to the airport | take out the trash | get me a refund |
delete the second one | delete my old address | please delete order 12 | end my shift at 6 |
my shift ends at 6 | I end work at 6 | opt 2 | option 2 | I opt out of insurance coverage |
info on the claim | info@acme.com | help is on the way | helping my mom | start date? | restart |
I'm not John's mom, I'm his wife | I'm not ready | I'm not Available Monday |
This is not what I ordered | this is not my order | This is not right | That's not my address |
this is not a good time | not me | It wasn't me | No it wasn't me | Fraud | NO FRAUD |
that was fraud | yes that was me | not my charge | wrong amount | wrong size |
wrong color, want blue | wrong person picked it up | you have the wrong apartment number |
the phone number on file is wrong | my number is wrong, use 4155550123 | wrong floor |
No one answered the door | nobody came | nobody named Bob works in my office, deliver to Ann |
Don't need a ride | I don't want it delivered today | don't want to be late |
Please don't contact the school | Don't text while driving | Don't call, text | never mind |
nevermind | never got it | Never received the package | I never received a text from you |
no message | no messages received | Did you get my message? | Do you send texts? |
How do I get text updates? | I want text messages | Keep texting me | Please keep sending updates |
Send me more | more info please | I love these texts | I like the reminders |
Please text me reminders | Thanks for the reminder | Update? | any updates | Update my number |
change my number to 4155550123 | add me to the list | put me on the list | call my number |
wtf where is it | this shit is late again | damn that's fast | hell no I didn't order that |
What the hell | shut the gate please | go away for the weekend, reschedule |
back off the date to May | turn off the water | turn off Main street | turn the alarm off |
switch off the lights | report my card stolen | block my card | Block it | block the card please |
freeze my account | I lost my card | lost | leave me a message | leave me two boxes |
leave it alone | La señora es alta | el alto de la colina | parada 4 | Para Juan |
para 4 personas | para el lunes | Para que hora | ¿Para cuándo? | para ella | para hoy | al fin |
Por fin! | salir a las 5 | voy a salir | quita una caja | quitar la cebolla | basta con dos |
con gusto | con todo | no quiero cebolla | no quiero ir | no cancelen mi cita |
no pares en la puerta | no es mi pedido | no soy yo | no fui yo | número de casa 45 |
el número equivocado de cajas | la dirección está equivocada | Baja tú | baje por favor |
estoy de baja médica | cancelar el viaje | anular la reserva | dejar en la puerta |
deje de tocar el timbre | déjelo con el portero | manden dos | no manden nada | nada | nada más |
nada mas gracias | no mas eso | más tarde | ayúdame con la puerta | arrêt Gambetta |
je suis à l'arrêt | je m'arrête où | arrêtez la voiture à gauche | arrêtez de klaxonner | fini |
la fin | c'est fini | à la fin du mois | terminus | sortie 4 | retirer mon colis |
je viens retirer ma commande | où retirer le colis | supprimer un article | quitter à 5h |
suffit de sonner | plus tard | plus de place | pas de problème | pas de message reçu |
pas de souci | j'annule mon rdv | annulez svp ma réservation | je ne suis pas là |
ce n'est pas moi | I'll be stopping by around 2 | We stop serving at 9? | what's your stop policy |
Could you have them stop at the leasing office | is there a cancellation fee |
what's the cancellation policy | Do you charge to cancel | Cancel the 2pm and keep the 4pm |
Cancel that one but keep Friday | canceling due to illness |
I tested positive for covid and need to cancel | We are cancelling our trip |
end of next week please | Which end of the building | East end | Dead end, turn around |
the game ends at 8 | weekend is better | remove the onions | Take the onions off please |
take off the second item | please remove my old card | revoked license |
quit early today so I can come at 3 | quit work at 3 | i will quit by then |
my subscription box never came | where's my subscription | I was unsubscribed by mistake |
I accidentally texted stop | sorry I hit stop by accident | I didn't mean to stop |
how do I restart | Don't stop the service | please keep the service | wrong house |
wrong name on the label | The wrong person signed for it | Wrong number on my order, should be 12 |
the number is wrong on the door | is this the right number for billing | Is this Maria? |
This is Maria | This is John's wife | I am John | I'm not able to make it | I'm not sure |
I am not going | I'm not at home | im not there yet |
I'm not interested in the warranty, just the delivery | Not interested in the upgrade |
no text when you arrive, ring the bell | No calls before 9 please | no need to call |
Do not call before 10 | please don't call my work | don't send a refund, send a new one |
dont send it yet | Don't send John, he was late | never send that driver again |
message me when ready | text when ready | reply when you can | send me a text when it ships |
I want a text for every stop | contact my wife at 4155550123 | who is texting me | who are you |
Why did you text me | I already paid this | I already confirmed | already cancelled it online |
I blocked the driveway with cones | block party on our street, use 5th | report is ready? |
reporting for jury duty | my phone died | he passed away last week, need to change the account |
this is bullshit, where's my refund | what the fuck is taking so long | damn it I forgot |
idiot driver left it in the rain | you guys are awesome | shut off notice? I paid |
is my water being shut off | turn off at exit 12 | take exit 4 | exit row please | off |
Off tomorrow | on hold | hold on | no, 5pm | No. 5 | no problem | ya | ya estoy |
voy a parar en la tienda | paro en 5 minutos | para servirle | pare de llover y salgo |
cancelado? | baja la caja por favor | hasta el fin | termino a las 3 | termina a las 5? |
salgo ya | salida 4 | no quiero más cajas | no me llame, estoy en clase |
no me manden al mismo chofer | número de apartamento equivocado | no soy de aquí |
este no es mi pedido | arrêt de travail | mon arrêt est le prochain | je finis à 17h |
fin du mois | j'ai annulé hier | plus tard svp | pas maintenant | pas de livraison demain |
supprimez l'article 2 | retirez un article | je ne veux plus de pain | je ne suis pas à la maison |
mauvaise commande | Stopford Road | I live on Endicott | Ms. Quitman |
Al Stopp here, running late | sell stop 120 | I'm at the stop already | next bus stop please |
Please stop at my neighbor's | Can we stop for coffee first | It stopped working |
my heart stopped lol | stopping now for gas, 10 min | Nonstop rain here, can we move it? |
The quiet end of the park | bottom end of the lot | Weekend please | I'll send it |
friend will pick up | I can attend | depends on traffic | Please extend my stay |
recommend a time | cancelation policy pls | cancel the 3rd item | I cancelled on your website |
Was charged a cancel fee | cancel that please and do 6pm | Can I cancel and get refund |
cancel for today, see you next week | cancel all my appointments next week |
pls cancel reservation for 2 | Cancel my account | how do I cancel my plan |
end my membership please | please remove me from tomorrow's class |
remove my name from reservation | remove the second guest | Please delete my card |
take my dog off the appointment | Take the 5 to exit 9 | my number changed to 5105550100 |
Number 5 please | wrong gate code | wrong time, I said 4 | you have the wrong date |
you have the wrong day for me | you have wrong unit, it's 12B | That is the wrong phone model |
Not John's house, next door | not here yet | Not yet | not today | not sure yet | not coming |
not me, try Ann | no one is home | nobody there | No Smoking room please | No Peanuts please |
no Onions | no driver came | no text yet | no messages yet from the driver |
no notification received | no email received | never got the text | Never arrived |
I never stop by the office | don't worry | don't text the office | dont text my boss lol |
don't contact them until Monday | do not send driver | Please don't send the nurse |
do not deliver | Do not leave package | don't want delivery today | I don't want the insurance |
dont need a receipt | I don't want to wait | I don't want to go | don't like the color |
I'd like it in red | I need to stop at the bank first | I have to stop by school | I'll quit at 5 |
Quit asking me for the code, it's 1234 | I want to end at noon | End the session at 3 |
info on pricing | more information please | need info about my visit | help me carry the box |
can you help with parking | START time? | can we start at 9 | yes start | Yes I will be there |
Yes, confirmed | Yes. Thanks. | yess | yep 5 works | YES to both | ok stop by | sure, stop by |
thanks, stop by anytime after 3 | great end to the day | fucking awesome thanks |
holy shit thanks | where the hell are you | what the fuck where is my stuff |
this damn gate is stuck, code 1234 | the dog is a bastard, ring bell | idiot neighbor took it |
spam folder? I'll check | went to spam | check spam | scam alert? is this real | is this legit |
Are you real | who sent this | ¿puedes parar aquí? | pare en la luz | me paro en la esquina |
alto ahí está bien | es alto el edificio | segundo piso, fin del pasillo | fin de curso |
¿a qué hora termina? | termina pronto? | salgo en 5 | sal por favor | salida norte |
quita el pollo | quiten el queso | no quiero queso | no quiero más | ya no lo necesito |
ya no puedo ir | ya no voy | no me llegó nada | no me mandaron el código |
no me han enviado el paquete | cancela la cita por favor | cancelen el pedido 55 | dos bajas |
para llevar | para las dos | paralo en la puerta | el número de la casa es 45 | número 7 |
arrêt maladie, je ne viens pas | arrête-toi devant | le stop au coin | fin de journée ok |
quitte le bureau à 5h | je termine à midi | annuler svp le rdv | annule ma place |
retirer la commande demain | supprimez le fromage | je ne veux plus de livraison |
je ne veux pas de sauce | pas de sms reçu | plus de lait | plus rien | plus de batterie |
ne m'attendez pas | ne sonnez plus | n'appelez pas, je dors | I'll be the one at the end |
Let's end at 4 instead | Is the end unit ok | Please don't stop at the corner |
Can the bus stop closer | my watch stopped | tell them to stop the music |
Please ask the driver to stop | the car won't stop beeping | can you quit by 5? | The tenant quit |
remove shoes at the door please | remove the lockbox code | please remove item |
take my stuff off the porch | take off 10 percent | cancel if it rains |
cancel unless you can do Tuesday | Cancel both | Cancel 2 of them | cancel + rebook |
I will cancel with my card company | My plan was cancelled why | opt in for paper bill |
help desk number? | info sheet received | Start without me | started at 5 | yes but later |
yes for 2 | No, Friday | no not me | no, the other one | not mine | wrong size again |
wrong person at the door | I have the wrong number for the driver |
What's the right number to call | which number should I call | my phone was off | text came late |
got your text | thanks for the text | I got 3 texts from you | Did you text me? | text is fine |
messages are fine | no more room in the freezer | no more milk please | no more than 3 |
one more please | enough for 4 | that's enough | I'm done | I'm done with my visit | done |
we're done here | leave at door | leave with Bob | go ahead | go to the back | get off at exit 3 |
get out of the car at gate B | delete that order | erase the board lol | damn ok | oh no |
shit sorry, running late | no más tarde por favor | para el perro | para entregar | alto nivel |
de baja por enfermedad | cancelado el lunes | está cancelado | ¿cancelan si llueve? |
arrêt du tram | au prochain arrêt | je suis en arrêt | terminé à 5h | fin prêt |
annulé par erreur | plus tard merci | plus que 5 minutes | drop me off at the corner |
Drop me off | take this off | get me out at the gate | drop me here | cancel my appt on the 5th |
cancel 2 of the 4 tickets please | end date? | End time is 4pm right | remove onion please |
quit early today, can come at 4 | exit 9 off the highway | Please end the trial on the 3rd |
Remove the tip | cancel tonight's table for 4 | cancelled my flight so yes I can come |
Can you cancel the second one only | I quit sugar so no dessert | ending at 5 right? |
when is the stop date for the sale | bus stop 12 | which stop do I get off | one stop before mine |
is it the next stop | the driver did not stop | driver missed my stop |
tell the driver to stop at 44 Elm | the doctor told me to stop aspirin |
should I stop eating at midnight | can we stop by after 6 | I can stop by around noon |
we will stop by tomorrow | please stop by the front desk | pit stop, 10 min late |
We had to stop for gas, running late | the rain won't stop so let's reschedule |
my car stopped, 20 min late | Removed the car, you can plow | Remove car at 8am ok |
I removed the old lock | take the stairs | Take off is at 6? | opt for pickup |
Which option is cheaper | I'd rather opt for the window seat | unit 12, end of the hallway |
weekend is fine | 2 please | 4412 | #3 | Gate 4412# | code 9921 | B12 | Unit 5, ring twice |
call me when outside | Text me when you're here | please text me the code | text me the address |
Text my wife instead 4155550199 | my new number is 4155550188 | don't call, just knock |
don't knock please | do not leave with neighbor | please don't leave it in the rain |
No more pickles please | no more than 20 minutes please | enough room for a van |
That's enough thank you | I'm done at 5 | not interested in the warranty |
I'm not interested in the extra insurance | not today but tomorrow works |
wrong apartment, mine is 4C | Wrong color, I ordered blue | wrong pizza |
wrong side of the building | This isn't my order | it's not my package | not my car |
You have the wrong address, it is 14 Oak | Nobody answered the door | no one at the desk |
where do I return it | Why was I charged twice | is there a fee to cancel | cancellation fee? |
Refund please | I already paid | thanks for stopping by | thanks for the reminder |
thx got ur msg | Sorry I missed your text | sorry wrong thread | ok will do | 10-4 | yes 2 people |
no it's for Friday | Loved a message | ¿a qué hora cierran? | llego en 10 minutos |
cancela mi cita del martes | no puedo ir mañana | el final de la calle | la parada del bus |
quite la cebolla por favor | estoy en la parada | deje el paquete en la puerta |
dejen la caja afuera | j'arrive dans 5 min | à la fin de la rue |
annulez mon rendez-vous de mardi | retirez les oignons | end of the month please |
end of the block, white house | End table arrived broken | Quit yesterday so use my home address |
quit the gym last week | cancel Friday, keep Monday | cancel my 10am and rebook for 2 |
cancel the second appointment | Cancel the blue one, keep the red | cancel order #4412 please |
remove the extra cheese | remove Bob from the reservation | remove one seat from my booking |
Removed shoes, door open | exit on the left | Exit at 5th street | please end my shift at 4 |
ends at 9? | the stop on 5th is closed | my stop is next | Tell him to stop at unit 4 |
can the truck stop at 12 Elm | we stopped at the store, be there at 6 | it stopped working |
stopping by at 4 | I'm stopping at the pharmacy first | nonstop flight please |
what are your hours | open on Sunday? | do you take cash | How much is it | is parking free |
yes for two at 7 | table for 4 at 6pm | can I bring my dog | I have a question about my bill |
my order never came | package was damaged | you sent the wrong size | wrong item in the box |
I got someone else's order | Who is my driver | driver is at the wrong gate | gate won't open |
ring the bell twice | leave with the doorman | leave it behind the fence | No signature needed |
I can't find the entrance | which door | see you soon | be there in ten | stuck in traffic |
flat tire, need to move my appt | my kid has a fever, need another day |
Ok thank you for letting me know | Great, thanks! | Perfect thx | 👍👍 | 🙏 thanks | llego tarde |
tengo una pregunta sobre mi cuenta | cuánto cuesta | dónde está mi pedido | fin de semana mejor |
parada de autobús en la esquina | je suis en retard | où est ma commande |
laissez le colis à la porte | quel est le prix | fin de la semaine svp |
Put me on the list for Friday please | I'm on the guest list | am I on the waiting list |
take me off the waitlist for Tuesday | clear my schedule for Friday | drop me off at the door |
Drop it at the back
""",
    (
        "(I'm not receiving notifications. If this is urgent, reply “urgent” to send a "
        "notification through with your original message.)"
    ),
)

UNCLEAR = texts(
    """
Don't cancel | Is this a scam? | is this spam? | Dr. Quitt | fuck yeah thanks |
please stop honking | Stop honking | please stop parking in my driveway |
Stop using my old email | cancel my subscription | Do not cancel | Pls dont cancel me |
I didn't cancel | I have to cancel | I need to cancel | Can I cancel? | Yes cancel |
no don't cancel | I don't need it anymore | Don't email me, text me | No quiero cancelar |
Can't make it, please cancel | unsubscribe link in your email is broken |
Please do not remove me from the list | don't remove me | don't take me off the list |
Do not opt me out | I don't want to opt out | I don't want to unsubscribe | not unsubscribing |
don't end my subscription | hoy no puedo, cancelo | ya cancelé | doy de baja el coche mañana |
alto, hay un perro | No, I'm not John, I'm his assistant. He will be there |
Don't send anyone today | quiero cancelar | stop blocking my driveway please |
Stop wasting my time | STOP as requested | stop per TCPA | se equivocaron |
stop by at 5 | stop by anytime | Stop at the second house | stop sign on the corner, turn left |
Stop & Shop | Stop and Shop on Main St | stop sending the packages to my old address |
revoke my access code please | opt out of the warranty | stop 14 | Stop #3 | stop 3 please |
Stop the delivery | stop my delivery | stop payment on check 441 | stop payment |
Stop light at Main | stop watch | stop for gas | Stop ringing the bell |
Stop leaving packages in the rain | stop the subscription box | Cancel #4412 |
Stop by whenever, door's open | stop calling my work and call my cell | Exit 12 |
Stop sign at corner | stop/start issue with my car | stop loss at 40 | stop devant la porte
"""
)

REACTIONS = texts(
    """
Liked “Reply STOP to opt out” | Laughed at “Text STOP to quit” | Emphasized “STOP to cancel” |
Questioned “Reply STOP to unsubscribe” | Disliked “Reply STOP to opt out” |
Reacted 👍 to “Reply STOP to opt out” | Removed a like from “Reply STOP to opt out” |
Removed a heart from “STOP” | 👍 to “Reply STOP to opt out” | Le gustó “Responda STOP” |
Le encantó “Responda ALTO para cancelar” | Le dio risa “STOP” |
Reaccionó con 👍 a “Responda STOP” | A aimé « Répondez STOP » |
a attribué la mention « J’aime » à « Répondez STOP pour arrêter » | a réagi avec 🔥 à « STOP » |
Hat „STOP“ mit „Gefällt mir“ markiert | Liked an image |
Liked “Your order shipped. Reply STOP to opt ou… |
Liked “Your table is ready” | Loved “Thanks for your order! Reply STOP to opt out” |
Emphasized “Your driver is 5 min away. Reply STOP to end” |
Reacted ❤️ to “Your package arrived. Reply STOP to opt out.” |
Removed ❤️ from “Reply STOP to end” | Removed an exclamation from “STOP to end” |
Removed a laugh from “Reply STOP” | Le gustó “Responda STOP para cancelar” |
Enfatizó “Responda STOP” | Reaccionó con ❤️ a “Responda STOP para salir” |
Quitó un me gusta de “Responda STOP” | A aimé « Répondez STOP pour arrêter » |
A adoré « Répondez ARRET » | A ri de « Répondez STOP » | A mis en évidence « Répondez STOP » |
A supprimé un J’aime de « Répondez STOP » | A réagi avec ❤️ à « Répondez STOP » |
Liked an attachment | ❤️ to “Reply STOP to opt out” |
Emphasized “Are you coming? Reply STOP to opt out” |
Reacted 🎉 to “You're booked! Txt STOP to end msgs” |
Removed a question mark from “Reply STOP to end” | Se rió de “Responda STOP para salir” |
Le encantó una imagen | A ri à « Répondez STOP » | A aimé une photo | Loved a movie
""",
    'Loved "Your order shipped. Reply STOP to end"',
    "Loved “Your order\nshipped.\nReply STOP to opt out”",
    'Reacted 😂 to "Reply STOP to opt out"',
    'Loved “Your 12" pipe is ready”',
)


def test_the_table_is_large_and_has_no_text_twice() -> None:
    every = (*BUSINESS, *UNCLEAR, *REACTIONS)
    assert len(BUSINESS) >= 150
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("text", BUSINESS)
def test_a_business_reply_is_none_of_our_words(text: str) -> None:
    assert read_text(text).intent is Intent.OTHER


@pytest.mark.parametrize("text", UNCLEAR)
def test_what_can_be_read_both_ways_goes_to_a_person(text: str) -> None:
    assert read_text(text).intent is Intent.UNCLEAR


@pytest.mark.parametrize("text", REACTIONS)
def test_a_reaction_that_quotes_our_text_is_not_the_persons_word(text: str) -> None:
    reading = read_text(text)
    assert (reading.intent, reading.rule) == (Intent.OTHER, "reaction")

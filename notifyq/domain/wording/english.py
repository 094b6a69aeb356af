"""English: the FCC's seven words, those of CTIA, Twilio and AWS, and what reasonable people write.

stop, quit, end, revoke, opt out, cancel, unsubscribe: 47 CFR 64.1200(a)(10). stopall, optout:
Twilio. remove, td, arret: AWS's list. The others say the same and nothing else when they stand
alone. `leave`, `off` and `no` are not among them: they answer questions.
"""

from notifyq.domain.wording.language import Language, Phrase, Strength

_SETS = """
stop: stop quit cease discontinue halt end enough
texting: texting messaging contacting spamming bothering harassing bugging emailing notifying
texting: pestering annoying soliciting alerting stalking bombarding disturbing smsing
texts: texts messages sms notifications alerts spam updates reminders emails ads promos junk
texts: promotions solicitations newsletters communications notices offers
texts1: text message email alert notification mms correspondence communication contact reminder
text: text message contact email bother notify disturb harass spam sms alert annoy bug
me: me us
drop: erase drop cross scrub strike wipe purge exclude mute clear block
details: number name info information details data phone contact
nobody: noone nobody anyone anybody person someone
right: right correct
list: list lists database databases records system contacts
"""
_W, _U, _S, _D = Strength.WHOLE, Strength.UNLESS_MATTER, Strength.STRANGER, Strength.DOUBT
_PHRASES = (
    Phrase("stop texting", "{stop} {gap} {texting}"),
    Phrase("stop texting", "stop|quit|enough|cease|discontinue|halt {gap} {texts}"),
    Phrase("stop texting", "if you stopped|quit {gap} {texting}|sending"),
    Phrase("stop texting", "end {gap} {texts}", _W),
    Phrase("stop texting", "{stop} {gap} {texts1}", _W),
    Phrase("stop sending", "{stop} sending {gap} {texts}"),
    Phrase("stop sending", "{stop} sending {me}", _U),
    Phrase("stop sending", "{stop} sending", _W),
    Phrase("stop calling", "{stop} calling", _W),
    Phrase(
        "do not text", "dont|never ever|you|please|keep|dare? {text} {me}|here|this|again|anymore"
    ),
    Phrase("do not text", "dont|never ever|you|please|keep|dare? {texting} {me}"),
    Phrase("do not text", "dont|never ever|please? {text}", _W),
    Phrase("do not text", "dont|never ever|please? {text}|call or|and|nor {text}|call {me}?", _W),
    Phrase("no more texts", "nomore|no calls or|and|nor {texts}", _W),
    Phrase("do not text", "{text} {me} nomore"),
    Phrase("do not text", "nolonger {text}|call {me}|this|here", _W),
    Phrase("do not call list", "dont call|text|contact|disturb list|lists|registry|register"),
    Phrase("do not call list", "dnc list|lists|registry|register"),
    Phrase("stop service", "discontinue|terminate|stop|end {gap} service {gap} {me}|number", _W),
    Phrase("do not call", "dont|never ever|please? call {me} again|anymore|ever?", _W),
    Phrase("do not send", "dont|never|nolonger ever|please|keep? send|sending {gap} {texts}"),
    Phrase("do not send", "dont|never ever|please|keep? send|sending", _W),
    Phrase("do not want", "dont|nolonger|never {gap} want|wish|like|care|need|want {gap} {texts}"),
    Phrase("do not want", "dont|nolonger|never {gap} want|wish|like|care|need {gap} {texts1}", _W),
    Phrase("do not want", "dont|nolonger {gap} want|wish|like {gap} texted|contacted|messaged"),
    Phrase(
        "do not want", "dont|nolonger {gap} want|wish {gap} hear|hearing {gap} from {gap} you|this"
    ),
    Phrase("no more texts", "nomore {gap} {texts}|texting|messaging"),
    Phrase("do not want", "want nothing from {gap} you"),
    Phrase("do not want", "dont|nolonger {gap} want|need anything from {gap} you"),
    Phrase(
        "do not want",
        "dont|nolonger {gap} want {gap} get|getting|receive|receiving {gap} these",
        _W,
    ),
    Phrase("no more texts", "nomore from {gap} you"),
    Phrase("no more texts", "nomore {gap} {texts1}", _W),
    Phrase("no texts", "no {texts}|texting", _W),
    Phrase("remove me", "remove|delete|erase|scratch|strike|scrub|unlist {gap} {me}|{details}", _W),
    Phrase("remove me", "take|get {gap} {me}|number|name {gap} off|out", _W),
    Phrase(
        "remove me",
        "remove|delete|take|get|scratch {gap} {me}|{details}|this|{phone} off|out? {gap} {list}",
        _U,
    ),
    Phrase("remove me", "{drop} {gap} {me}|number|{phone} off|out? {gap} {list}", _U),
    Phrase("told you to stop", "asked|told|begged|asking|telling you {any}? to {stop}", _W),
    Phrase("not interested", "uninterested in {gap} {texts}|{texts1}"),
    Phrase("remove me", "be|get removed|unsubscribed", _W),
    Phrase("remove me", "want|like|get|wanna {gap} off|out {gap} {list}", _W),
    Phrase("remove me", "off {gap} {list}", _W),
    Phrase("unsubscribe", "do|can|to i? unsubscribe|optout"),
    Phrase("unsubscribe", "unsubscribe {any}", _W),
    Phrase("unsubscribe", "unsubscribe me|us|my|our|from"),
    Phrase("opt out", "opt {gap} out", _U),
    Phrase("opt out", "optout {gap} {texts}|{texts1}"),
    Phrase("leave me alone", "leave {gap} {me}|phone|number {gap} alone"),
    Phrase("leave me alone", "leave {me} be", _W),
    Phrase("lose my number", "lose|forget my|this number"),
    Phrase("go away", "go away", _W),
    Phrase("go away", "get lost", _W),
    Phrase("make it stop", "make|makes|let this|it|these|them|that stop", _W),
    Phrase("cut it out", "cut|knock it|this|that out|off", _W),
    Phrase("turn off", "turn|switch|shut {gap} off {gap} {texts}|these|this|them|all", _W),
    Phrase("turn off", "turn|switch|shut {gap} {texts}|these|this|them off", _W),
    Phrase("turn off", "disable {gap} {texts}"),
    Phrase("i want out", "want out|off", _W),
    Phrase("revoke consent", "revoke|withdraw|rescind|retract {gap} consent|permission|approval"),
    Phrase("revoke consent", "dont|didnt|never {gap} consent|consented|authorize|authorized"),
    Phrase("revoke consent", "consent|permission {gap} withdrawn|revoked", _W),
    Phrase("revoke consent", "dont {gap} have|give {gap} consent|permission"),
    Phrase("revoke consent", "you nolonger have {gap} consent|permission"),
    Phrase("revoke consent", "not allowed|permitted|authorized to {text}|call"),
    Phrase("revoke consent", "never|didnt {gap} gave|give {gap} consent|permission"),
    Phrase(
        "never signed up", "never|didnt {gap} sign|signed|signup {gap} for {gap} this|these|{texts}"
    ),
    Phrase("never signed up", "never|didnt ask|asked for {gap} this|these|it|{texts}"),
    Phrase("never signed up", "nobody|noone ask|asked for {gap} {texts}"),
    Phrase("never signed up", "never|didnt ask|asked to be texted|contacted|messaged", _W),
    Phrase("never signed up", "never|didnt agree|agreed to {gap} this|these|it|{texts}", _W),
    Phrase("never signed up", "never|didnt subscribed|subscribe", _W),
    Phrase("wrong person", "wrong phone|cell? number|person|phone|guy|recipient|contact", _S),
    Phrase("wrong person", "he|she|they doesnt|dont|nolonger live|lives|work|works here", _S),
    Phrase("wrong person", "belongs to {gap} someone|somebody|another else|person?", _S),
    Phrase("wrong person", "new owner of? {gap} number|phone?", _S),
    Phrase("wrong person", "{any} nolonger has|have|uses|owns this number|phone", _S),
    Phrase("wrong person", "mistaken identity", _S),
    Phrase(
        "wrong person", "not|isnt|nolonger his|her|their|the {right}? number|phone|cell|person", _S
    ),
    Phrase("wrong person", "not {gap} person|one you|u", _S),
    Phrase("wrong person", "{nobody} here|there? named|called {any}", _S),
    Phrase("wrong person", "{nobody} here|there? by|with|of that|this|such name", _S),
    Phrase("wrong person", "he|she is? deceased", _S),
    Phrase("wrong person", "he|she has|have|is? passed away", _S),
    Phrase("cancel subscription", "cancel|end|stop {gap} subscription|subscriptions", _D),
    Phrase("i will stop", "ill|well gonna|going? to? {stop}|cancel|remove", _D),
    Phrase("i will stop", "im|i|we will|gonna|going to? {stop}|cancel|remove", _D),
    Phrase("not interested", "uninterested", _D),
    Phrase(
        "do not want this",
        "dont|nolonger {gap} want|need {gap} this|these|it|them|any|anything",
        _D,
    ),
    Phrase("enough", "enough|done|toomany {gap} {texts}|{texts1}|already", _D),
    Phrase("enough", "sick|tired of {gap} {texts}", _D),
    Phrase("do not want", "rather|prefer not to? get|receive {gap} {texts}"),
    Phrase("do not text", "refrain from {gap} {texting}", _W),
    Phrase("do not text", "dont use {gap} this|my number|phone", _D),
    Phrase("remove me", "remove|delete|take it off|from your {list}", _D),
    Phrase("pause", "pause|mute|hold {gap} {texts}|these|this", _D),
    Phrase(
        "i will report you", "report|reported|reporting|block|blocking|blocked {gap} you|number", _W
    ),
    Phrase("i will report you", "sue|suing you", _W),
    Phrase("i will report you", "report|reported|reporting|blocking|blocked", _W),
    Phrase("scam", "this|its|thats is? {gap} scam", _D),
    Phrase("insult", "screw|damn you|off|this", _W),
    Phrase("insult", "shut {gap} up", _W),
    Phrase("insult", "piss|bugger|sod|buzz|back off", _W),
    Phrase("insult", "you all? suck", _W),
    Phrase("insult", "drop dead", _W),
    Phrase("insult", "kiss my ass", _W),
    Phrase("insult", "bite me", _W),
    Phrase("insult", "go {gap} to hell", _W),
    Phrase("insult", "get a life", _W),
)

ENGLISH = Language(
    code="en",
    stop="""stop stopall optout unsubscribe unsub unsubscribed unsubscribing stopping quit end
        revoke remove exit halt discontinue cease desist terminate deactivate unenroll unfollow
        unregister deregister""",
    alone="removed nomore td delete withdraw",
    cancel="cancel cancellation cancelation cancelall",
    misspelt="stop stopall unsubscribe unsubscribed quit revoke remove cancel optout discontinue",
    help="help info",
    polite="""buddy pal friend mate tf please thanks thank ty kindly sorry hi hello hey dear sir
        madam maam guys guy bro dude man people folks now immediately asap already again anymore
        ever forever permanently just really seriously completely all ffs jesus christ god omg lol
        respectfully damn dammit""",
    filler="""our i im id ill ive we weve you youre youve thats whats me us my your yours it this
        that these those them the a an of to from with and any some such its all everything
        anything annoying robo thing things too enough am also so be""",
    wish="""uninterested choose decided elect prefer hereby typing type want wanna need would like
        could can will wish to trying try how do make let must shall asking ask asked told tell
        said say saying say get have got love gotta should being requesting request requested going
        gonna keep kept repeat texted replied typed""",
    answers="yes yeah yep yup ya yea sure no nope nah ok k okay",
    about="""stuff text texts texting texted message messages messaging sms mms notification
        notifications notify alert alerts spam spamming sending send sent contact contacting
        contacts calling calls nonsense crap madness email emails list lists subscription
        subscriptions reminder reminders update updates number phone communication communications
        reply marketing promotional automated mailing program receiving receive getting cell promos
        promotions ads newsletter msgs junk""",
    negation="dont not never doesnt didnt cant wont cannot shouldnt wouldnt isnt arent aint",
    before_noun="the a an my this that your our his her their next last first bus every any one of",
    place="""by at in on near for behind over off up and or sign light signs lights watch loss
        payment when until from the""",
    hostile="""fuck fucker fuckers fucking fucked fuckoff fu asshole assholes bitch bitches
        bastard bastards idiot idiots moron morons shit bullshit scum scumbag scumbags scammer
        scammers spammer spammers crooks dick dickhead dickheads cunt cunts prick pricks stfu gtfo
        wtf harassment harassing motherfucker motherfuckers jackass dumbass wanker jerks spam
        stupid kys""",
    hostile_filler="""die go to hell off up out shut eat suck your mother mom yourself yourselves
        in is are bunch pieces piece what who get off sick such lousy as am ass dumb goddamn damn
        crap bloody freaking frickin total complete damned burn bite""",
    matter="""right past straight mile miles exit highway light sign intersection mailbox church
        see then next ring rings bell dogs owner warranty mistake accident accidentally appointment
        appointments appt booking reservation order orders delivery deliveries deliver delivered
        package packages parcel parcels box boxes driver courier door gate house home apartment apt
        unit suite street road ave avenue corner building floor lobby porch front back left office
        store shop school bus train class visit doctor dr nurse dentist clinic prescription refill
        meds medication pharmacy bill invoice payment paid pay refund card account insurance policy
        claim loan bank code address zip room table party seat seats ticket flight trip ride car
        truck van key dog pizza food meeting call job session service waitlist membership gym
        tomorrow monday tuesday wednesday thursday friday saturday sunday noon tonight outside
        downstairs arriving here coming way minutes mins pm schedule reschedule wait turn
        passed""",
    limits="""until till before after when while during if unless except instead only between but
        tonight tomorrow today weekend weekends week month morning night nights evening early late
        later hours work am pm twice monday tuesday wednesday thursday friday saturday sunday
        driving meeting asleep sleeping""",
    past="did does have has had was were been why when since after because stopped",
    loose="""but reached know second third time times live lives have has had got is are was think
        here him her his hers their he she they there by that name anymore longer been texting
        since because who whoever as not was you are looking for trying reach reaching off out from
        do does will off at please lol afraid believe may must guess what in up wish or else off
        and other person belongs anyone fcc ftc tcpa attorney lawyer police sue lawsuit carrier
        being today months years""",
    aliases="""u=you ur=your pls=please plz=please plss=please plse=please pleas=please thx=thanks
        tks=thanks txt=text txts=texts txting=texting txtin=texting textin=texting msg=message
        msgs=messages msging=messaging messages=messages dnt=dont donot=dont mssgs=messages
        unsubscribeme=unsubscribe unsubcribed=unsubscribed usubscribe=unsubscribe cancle=cancel
        tex=text gimme=give wat=what unscribe=unsubscribe stahp=stop stp=stop stoppit=stop
        phonenumber=number im=im w=with texing=texting mailinglist=list fk=fuck fck=fuck fuk=fuck
        fuc=fuck fcking=fucking
        fuckin=fucking fkin=fucking cellphone=cell cud=could cld=could wud=would xt=text
        nmbr=number nbr=number num=number""",
    joined="""opt_out=optout stop_all=stopall un_subscribe=unsubscribe un_subscribed=unsubscribed
        do_not=dont don_t=dont does_not=doesnt did_not=didnt can_not=cant will_not=wont can_t=cant
        right_now=now right_away=now at_once=now good_morning=hello good_afternoon=hello
        good_evening=hello good_day=hello non_stop=nonstop 2_end=end 2_stop=stop 2_quit=quit
        not_interested=uninterested am_not_interested=uninterested
        no_longer_interested=uninterested blowing_up=bothering no_further=nomore
        for_the_love=please for_heavens_sake=please for_gods_sake=please for_petes_sake=please
        how_many_times=how opting_out=optout opted_out=optout
        no_longer=nolonger no_more=nomore any_more=anymore thank_you=thanks no_one=noone f_u=fu
        f_off=fuckoff f_you=fu too_many=toomany is_not=isnt am_not=not sign_up=signup
        signed_up=signup phone_number=number cell_number=number cease_and_desist=desist
        cancel_all=cancelall aint_no=no b_s=bullshit do_n_t=dont i_m=im
        is_annoying=annoying are_annoying=annoying""",
    sets=_SETS,
    phrases=_PHRASES,
)

"""French: infinitive, imperative (tu, vous) and noun of each word, and usual phrases.

STOP and ARRET are what French law and AWS's list know. "plus" means both "more" and "no more", so
it counts beside "ne" or at the head of a clause before a word for messages only.
"""

from notifyq.domain.wording.language import Language, Phrase, Strength

_SETS = """
arretez: arrêtez arrête arrêter arrêtes cessez cesse cesser stop stoppez marre
envoyer: envoyer écrire contacter déranger harceler texter spammer embêter messages emmerder
envoyez: envoyez envoie envoies envoyer écrivez écris écrire contactez contacte contacter
envoyez: dérangez dérange déranger textez harcelez importunez
messages: messages message textos texto sms notifications alertes promotions pubs pub publicités
messages: courriels mails spam rappels
retirez: retirez retire retirer supprimez supprime supprimer enlevez enlève enlever effacez efface
retirez: désinscrivez désinscris désabonnez désabonne effacer rayez ôtez
liste: liste listes base fichier fichiers contacts diffusion registre
"""
_W, _U, _S, _D = Strength.WHOLE, Strength.UNLESS_MATTER, Strength.STRANGER, Strength.DOUBT
_PHRASES = (
    Phrase("arrêtez d'écrire", "{arretez} de|d|avec? {gap} {envoyer}", _W),
    Phrase("arrêtez d'écrire", "{arretez} de|d|avec? {gap} {envoyer} {gap} {messages}"),
    Phrase("arrêtez d'écrire", "{arretez} {gap} {messages}", _W),
    Phrase("ne m'écrivez plus", "n|ne? m|me|nous? {envoyez} plus|pas|rien|jamais rien?", _W),
    Phrase("ne m'écrivez plus", "n|ne m|me|nous? {envoyez} plus|pas|rien|jamais {gap} {messages}"),
    Phrase("ne m'écrivez plus", "ne plus|pas m|me|nous? {envoyez}|recevoir", _W),
    Phrase("ne m'écrivez plus", "ne plus|pas {gap} {envoyez}|recevoir {gap} {messages}"),
    Phrase("je ne veux plus", "ne|n? veux|souhaite|désire|voulons plus|pas {gap} {messages}"),
    Phrase("je ne veux plus", "ne|n? veux|souhaite plus rien? {gap} recevoir|entendre rien?", _W),
    Phrase("ne m'écrivez plus", "ne? m|nous appelez|appelle plus", _W),
    Phrase("plus de messages", "plus|pas|aucun jamais? de|d? {messages}", _W),
    Phrase("retirez-moi", "{retirez} moi|nous", _W),
    Phrase("retirez-moi", "me|m|nous {retirez}", _W),
    Phrase("retirez-moi", "{retirez} {gap} numéro|nom|téléphone|coordonnées", _W),
    Phrase("retirez-moi", "{retirez} {gap} {liste}", _U),
    Phrase("laissez-moi tranquille", "laissez|laisse|foutez|fous|fichez {gap} tranquille|paix"),
    Phrase("mauvais numéro", "mauvais|faux numéro|destinataire|téléphone", _S),
    Phrase("mauvais numéro", "mauvaise personne", _S),
    Phrase(
        "mauvais numéro", "trompez|trompé|trompés|erreur {gap} numéro|personne|destinataire", _S
    ),
    Phrase("mauvais numéro", "pas le bon|son|cette numéro|destinataire|personne", _S),
    Phrase("annuler abonnement", "annuler|annulez|résilier|résiliez {gap} abonnement", _D),
    Phrase("pas intéressé", "pas|plus intéressé|intéressée|intéresse", _D),
    Phrase(
        "je n'en veux plus", "ne|n? en? veux|souhaite plus|pas {gap} ça|cela|rien|recevoir?", _D
    ),
    Phrase("insult", "va|allez te|vous faire foutre|voir", _W),
    Phrase("insult", "ta gueule|gueules", _W),
    Phrase("insult", "casse|cassez toi|vous", _W),
)

FRENCH = Language(
    code="fr",
    stop="""arrêt arrêter arrête arrêtez stopper stoppez cesser cessez désabonner désabonne
        désabonnez désabonnement désabonné désinscrire désinscris désinscrivez désinscription
        résilier résilie résiliez résiliation révoquer révoque révoquez révocation désactiver
        désactivez supprimer supprimez retirez""",
    alone="fin finir terminer termine terminez cesse quitter quittez quitte retirer sortir suffit",
    cancel="annuler annule annulez annulation",
    misspelt="""arrêter arrêtez désabonner désabonnez désabonnement désinscrire désinscription
        résilier annulation stopper""",
    help="aide informations",
    polite="""veuillez svp stp plaît merci bonjour bonsoir salut madame monsieur maintenant
        immédiatement jamais tout_de_suite urgent désolé désolée pardon cordialement enfin""",
    filler="""tout je j moi m me mon ma mes tu toi te ton ta tes vous vos votre nous notre nos ce
        ça cela ces cette le la les l un une des de du d et à aux s se en y on que qu c est plus""",
    wish="""veux voudrais souhaite peux pouvez pouvoir désire demande dis dit ai demandé faire
        faites comment aimerais merci vouloir""",
    answers="oui non ok d_accord daccord",
    about="""message messages texto textos sms notification notifications alertes liste numéro
        envoyer envoi envois recevoir écrire contacter pub pubs publicité spam abonnement téléphone
        diffusion courriels mails""",
    negation="ne n pas jamais non",
    before_noun="l un une le la mon votre cet prochain dernier à",
    place="à au aux devant ici chez",
    hostile="""merde connard connards connasse salaud salauds enculé enculés putain arnaqueurs
        escrocs escroc bâtard bâtards imbéciles fdp ntm""",
    hostile_filler="bande de vous êtes un une des allez va gros espèce sale êtes c est",
    matter="""rendez rdv commande commandes livraison livraisons colis porte maison appartement
        rue avenue étage immeuble magasin école médecin docteur ordonnance facture compte demain
        lundi mardi mercredi jeudi vendredi samedi dimanche heure heures réservation table voyage
        train bus voiture chien arrive semaine mois gare""",
    limits="""avant après quand pendant si sauf uniquement seulement mais soir nuit matin demain
        tôt tard semaine travail jusqu""",
    past="ai avez pourquoi reçu quand si",
    loose="""est sont avez a ici pas je suis il elle personne connais connaît bon même ne n c vous
        êtes crois pense fait plus y cela svp mon ma ailleurs""",
    aliases="desabo=désabonner msgs=messages mp=message",
    joined="""s_il=svp s_il_te=stp s_il_vous=svp ça_suffit=suffit sil_vous=svp
        tout_de_suite=maintenant""",
    sets=_SETS,
    phrases=_PHRASES,
)

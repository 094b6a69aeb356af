"""Spanish: infinitive, imperative (tú, usted, ustedes) and noun of each word, and usual phrases.

`para`, `pare`, `alto`, `fin` and their kin are everyday words, so they are opt-outs alone or with a
word of politeness only: "alto por favor", but not "alto por favor en la puerta". `deja` and `sal`
are left out: the first is French "already" without its accent, the second is salt.
"""

from notifyq.domain.wording.language import Language, Phrase, Strength

_SETS = """
dejen: deje deja dejen dejar dejad pare paren parar para cese cesen cesar basta
enviar: enviar enviarme enviarnos mandar mandarme mandarnos escribir escribirme escribirnos
enviar: contactar contactarme molestar molestarme molestarnos textear textearme
enviar: llamarme fastidiar fastidiarme joder spamear
envien: envien envie envies enviar mandes mande manden mandar escriban escriba escribas escribir
envien: contacten contacte contactes contactar molesten moleste molestes molestar texteen textees
molesten: molesten moleste molestes molestar escriban escriba escribas contacten contacte
mensajes: mensajes mensaje textos texto sms notificaciones avisos alertas promociones publicidad
mensajes: correos msjs msj spam mensajitos notificacion recordatorios
quitar: quitenme quiteme quitame quiten quite quita quitar quitarme saquenme saqueme sacame sacarme
quitar: borrenme borreme borrame borrar borren borre borrarme eliminenme elimineme eliminame
quitar: eliminar eliminen elimine eliminarme remuevanme remueveme remuevame
lista: lista listas base sistema registro registros contactos
"""
_W, _U, _S, _D = Strength.WHOLE, Strength.UNLESS_MATTER, Strength.STRANGER, Strength.DOUBT
_PHRASES = (
    Phrase("dejen de escribir", "{dejen} ya? de|con {gap} {enviar}", _W),
    Phrase("dejen de escribir", "{dejen} ya? de|con {gap} {enviar} {gap} {mensajes}"),
    Phrase("dejen de escribir", "{dejen}|parale|parenle ya? de|con? {gap} {mensajes}", _W),
    Phrase(
        "dejen de escribir", "no me|nos sigan|siga|sigas enviando|mandando|escribiendo|molestando"
    ),
    Phrase("no me escriban", "no me|nos {gap} {envien}", _W),
    Phrase("no me escriban", "no {molesten}", _W),
    Phrase("no me escriban", "no me|nos? {gap} {envien} {gap} {mensajes}"),
    Phrase(
        "no me escriban", "no me|nos {gap} escriban|escriba|escribas|contacten|contacte|contactes"
    ),
    Phrase(
        "no quiero mensajes", "no|ya|nunca {gap} quiero|queremos|deseo|necesito {gap} {mensajes}"
    ),
    Phrase("no me escriban", "no|nunca {gap} quiero que {gap} {envien}|{molesten}", _W),
    Phrase("no me escriban", "no {gap} vuelva|vuelvan|vuelvas a {enviar}|llamar", _W),
    Phrase("no me escriban", "no {envien} mas", _W),
    Phrase("no quiero mensajes", "no|ya {gap} quiero nada de ustedes|usted"),
    Phrase("paren", "quiero|queremos que pare|paren|dejen", _W),
    Phrase("quítenme de la lista", "salir de {gap} {lista}", _W),
    Phrase("darme de baja", "dar|solicito|quiero|pido {gap} baja", _W),
    Phrase("no quiero mensajes", "no|ya|nunca {gap} quiero|deseo recibir {gap} nada", _W),
    Phrase("no más mensajes", "nomas {gap} {mensajes}"),
    Phrase("no mensajes", "no|sin {mensajes}", _W),
    Phrase("quítenme de la lista", "{quitar} {gap} {lista}", _U),
    Phrase("quítenme de la lista", "{quitar} {gap} numero|telefono|nombre", _W),
    Phrase("quítenme de la lista", "quitenme|quiteme|saquenme|saqueme|borrenme|borreme", _W),
    Phrase("quítenme de la lista", "quitame|sacame|borrame|eliminenme|elimineme|eliminame", _W),
    Phrase("darme de baja", "dar|darme|denme|deme|dame|den|doy|darse|dando {gap} de baja", _U),
    Phrase("cancelar mensajes", "cancelar|cancela|cancele|cancelen {gap} {mensajes}", _W),
    Phrase("déjenme en paz", "dejenme|dejeme|dejame|dejen|deje {gap} en paz"),
    Phrase("déjenme en paz", "dejenme|dejeme|dejame tranquilo|tranquila"),
    Phrase("número equivocado", "numero|persona|telefono equivocado|equivocada|incorrecto", _S),
    Phrase("número equivocado", "equivoco|equivocaron|equivocado|equivocados de {gap} numero", _S),
    Phrase("número equivocado", "equivoco|equivocaron|equivocado de {gap} persona|telefono", _S),
    Phrase("se equivocaron", "equivoco|equivocaron", _D),
    Phrase("número equivocado", "no soy esa|la persona", _S),
    Phrase("número equivocado", "no es {gap} su|el|este numero|telefono", _S),
    Phrase("cancelar suscripción", "cancelar|cancela|cancele|cancelen {gap} suscripcion", _D),
    Phrase("no me interesa", "no {gap} interesa|interesado|interesada", _D),
    Phrase("no quiero", "no|ya|nunca {gap} quiero|deseo {gap} esto|nada|esta|estos|recibir", _D),
    Phrase("insult", "vete|vayanse|vayase|anda a la|al mierda|carajo|diablo|chingada", _W),
    Phrase("insult", "chinga|chinguen tu|su madre", _W),
    Phrase("insult", "callate|callense|lárgate|larguense", _W),
)

SPANISH = Language(
    code="es",
    stop="""parar cancelamiento desuscribir desuscribirme desuscribirse desuscríbeme desuscríbanme
        desuscribe desuscripción desinscribir desinscribirme detener detenga detengan deténganse
        detén basta revocar revoca revoque revocación remover desactivar desactiva desactive""",
    alone="""nomas para pare paren parad baja bajas fin finalizar finaliza termina termine quitar
        quita salir detente cesar cese renunciar borrar alto eliminar terminar""",
    cancel="cancelar cancela cancele cancelen cancelación anulación anular anula anule anulen",
    misspelt="cancelar desuscribir desuscribirme desuscribirse cancelación",
    help="ayuda información",
    polite="""por favor porfavor porfa gracias hola señor señora ya ahora inmediatamente mismo
        nunca jamás buenas buenos días tardes noches oiga oye disculpe perdón saludos urgente amigo
        favor dios""",
    filler="""me mi mis yo tu tus te usted ustedes su sus nos nosotros esto este esta estos estas
        eso esos esas lo los la las el un una unos unas de del al que y con todo todos todas más a
        en_serio otro otra ningún ninguna""",
    wish="""quiero quisiera quieren puede pueden puedo poder deseo necesito favor hagan haga hacer
        dije pedí pido digo solicito cómo quiere querer""",
    answers="sí si no claro vale bueno",
    about="""mensaje mensajes texto textos sms notificación notificaciones aviso avisos alertas
        lista listas suscripción número teléfono celular enviar enviarme mandar mandarme escribir
        escribirme recibir recibiendo molestar publicidad promociones spam contacto correos""",
    negation="no nunca jamás tampoco ni",
    before_noun="la el un una mi su en al del",
    place="en por aquí ahí al",
    hostile="""mierda idiota idiotas pendejo pendejos puta putas puto cabrón cabrones imbécil
        imbéciles estúpido estúpidos estafadores estafador jódanse jódete chinguen chingados
        malditos hijueputa hijueputas""",
    hostile_filler="son es una un hijo hijos de la tu madre qué pinche pinches bola a los vete",
    matter="""cita citas pedido pedidos entrega entregas paquete paquetes puerta casa apartamento
        calle avenida esquina piso edificio tienda escuela clínica doctor doctora receta factura
        cuenta pago pagar mañana hoy lunes martes miércoles jueves viernes sábado domingo reserva
        mesa viaje vuelo coche carro perro comida llego voy estoy vengo semana mes hora""",
    limits="""hasta antes después cuando mientras si excepto salvo solo sólo noche noches mañana
        tarde pero temprano hoy semana trabajo""",
    past="llegó recibí recibido enviaron mandaron porque cuando si",
    loose="""es tiene tienen creo aquí ese soy está están lo siento se ha han usted este eso
        equivocado favor marcado llamado persona nada vuelva vuelvan más a mi aquí ya le
        nadie que busca buscan""",
    aliases="xfavor=favor xfa=porfa pf=porfa grax=gracias q=que k=que nomás=nomas cancelr=cancelar",
    joined="por_fin=porfin no_mas=nomas por_favor=porfavor ya_basta=basta ya_no=no ya_no_más=nomas",
    sets=_SETS,
    phrases=_PHRASES,
)

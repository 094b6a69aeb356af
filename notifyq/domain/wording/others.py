"""Further languages that people in the United States text in: their bare words only.

Phrases are not read in these: such a text is OTHER, not an opt-out, until somebody who knows the
language adds them. Vietnamese is left out: without its marks its words for stopping are English
words and names (`dung`, `huy`), and the reading drops marks.
"""

from notifyq.domain.wording.language import Language

OTHERS = (
    Language(
        code="pt",
        stop="parar sair descadastrar descadastre cancelem removam desinscrever",
        alone="pare parem fim",
        cancel="cancelar cancele cancelamento",
        polite="obrigado obrigada",
        answers="sim não",
    ),
    Language(code="de", stop="stopp abmelden aufhören abbestellen abmeldung", polite="bitte danke"),
    Language(code="it", stop="ferma fermare disiscrivi disiscrivimi annullare", polite="grazie"),
    Language(code="ht", stop="sispann kanpe", polite="tanpri mèsi"),
    Language(code="tl", stop="itigil tigil hinto ihinto", polite="po salamat pakiusap"),
    Language(
        code="ru", stop="стоп отписаться отписка отпишите хватит", polite="пожалуйста спасибо"
    ),
    Language(
        code="zh", stop="停止 停 退订 退訂 取消订阅 取消訂閱 不要再发 别再发了", cancel="取消"
    ),
    Language(code="ko", stop="중지 수신거부 그만 정지", cancel="취소"),
    Language(code="ja", stop="停止 配信停止 解除", cancel="取消 キャンセル"),
    Language(code="ar", stop="توقف أوقف إيقاف", cancel="إلغاء"),
)

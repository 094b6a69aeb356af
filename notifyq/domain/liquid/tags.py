"""The tags that a template may use, and what is changed about them: loops are paid for.

A list of what is allowed: conditions, loops, variables, comments. Nothing includes another
template, and nothing keeps a count beside the variables.
"""

from typing import Any, TextIO

from liquid.ast import BlockNode
from liquid.builtin import content, illegal, output
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    for_tag,
    if_tag,
    inline_comment_tag,
    unless_tag,
)
from liquid.context import RenderContext
from liquid.exceptions import LiquidTypeError
from liquid.expression import Expression
from liquid.stream import TokenStream
from liquid.stringify import to_liquid_string

from notifyq.domain.liquid.filters import plain_text

STEP = 20  # characters that a pass of a loop, or a filter, costs beside its length


class _Items(Expression):
    """What a loop goes through. A range is paid for before anybody makes a list of it."""

    __slots__ = ("inner",)

    def __init__(self, inner: Expression) -> None:
        super().__init__(inner.token)
        self.inner = inner

    def __str__(self) -> str:
        return str(self.inner)

    def evaluate(self, context: Any) -> object:
        value = self.inner.evaluate(context)
        if not isinstance(value, list | range):
            raise LiquidTypeError(f"{self.inner} is no list", token=self.token)
        context.charge(len(value))
        return value

    def children(self) -> list[Expression]:
        return [self.inner]


class _Body(BlockNode):
    """The inside of a loop, paid for each time it runs: by its length, with what is nested."""

    __slots__ = ("cost",)

    def __init__(self, block: BlockNode, cost: int) -> None:
        super().__init__(block.token, block.nodes)
        self.cost = cost

    def render(self, context: Any, buffer: TextIO) -> int:
        context.charge(self.cost)
        return super().render(context, buffer)


class _For(for_tag.ForTag):
    def parse(self, stream: TokenStream) -> Any:
        start = stream.current.start_index
        node: Any = super().parse(stream)
        node.block = _Body(node.block, STEP + stream.current.start_index - start)
        node.expression.iterable = _Items(node.expression.iterable)
        return node


class _Printed(output.OutputNode):
    """`{{ … }}`: text and numbers are said; null, a list or an object is a mistake."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        text = value if isinstance(value, str) else plain_text(value, self.expression)
        return buffer.write(to_liquid_string(text, context.autoescape))


class _Print(output.Output):
    node_class = _Printed


TAGS = (
    *(content.Literal, _Print, illegal.Illegal, _For, for_tag.BreakTag, for_tag.ContinueTag),
    *(if_tag.IfTag, unless_tag.UnlessTag, case_tag.CaseTag, assign_tag.AssignTag),
    *(capture_tag.CaptureTag, comment_tag.CommentTag, inline_comment_tag.InlineCommentTag),
)

"""Arithmetic, comparison, choice, reduction and matrix products as nodes.

In double, ONNX Runtime (1.32, CPU) has no Elu, Selu, Softplus and Softsign: there, and there
only, these words are composed of operators that it has.
"""

from __future__ import annotations

from collections.abc import Sequence

from lstmbridge.arrays.numpy64 import SELU_ALPHA, SELU_GAMMA
from lstmbridge.targets.onnx.whole.values import (
    Length,
    Sym,
    Value,
    broadcast,
    dims_of,
    kind_of_value,
)
from lstmbridge.targets.onnx.whole.words_base import Base, folded

_COMPARE = {
    "equal": "Equal",
    "less": "Less",
    "greater": "Greater",
    "less_equal": "LessOrEqual",
    "greater_equal": "GreaterOrEqual",
}
_STRICT = {"less_equal": "less", "greater_equal": "greater"}
OR_EQUAL_SINCE = 12
"""First opset with LessOrEqual, GreaterOrEqual, and with Min and Max of integers."""
_LOGICAL = {"and": "And", "or": "Or", "xor": "Xor", "not": "Not"}
_UNARY = {
    "abs": "Abs",
    "neg": "Neg",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "sign": "Sign",
    "log": "Log",
    "reciprocal": "Reciprocal",
    "erf": "Erf",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "atanh": "Atanh",
}
SINGLE_ONLY = frozenset(
    {"erf", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"}
)
"""What ONNX Runtime (1.32, CPU) has in single precision only."""
_TESTS = {"is_nan": "IsNaN", "is_inf": "IsInf"}
_REDUCE = {
    "sum": ("ReduceSum", 13),
    "mean": ("ReduceMean", 18),
    "max": ("ReduceMax", 18),
    "min": ("ReduceMin", 18),
    "prod": ("ReduceProd", 18),
}


class Elementwise(Base):
    """See `graph.words.Words`; likewise below."""

    @folded
    def matmul(self, a: Value, b: Value) -> Value:
        """Matrix product over the last two axes."""
        left, right = dims_of(a), dims_of(b)
        around = broadcast(left[:-2], right[:-2]) if len(left) > 2 or len(right) > 2 else ()
        return self.emitter.emit("MatMul", [a, b], "float", (*around, left[-2], right[-1]))

    @folded
    def add(self, a: Value, b: Value) -> Value:
        """Sum."""
        return self._between("Add", a, b)

    @folded
    def sub(self, a: Value, b: Value) -> Value:
        """Difference."""
        return self._between("Sub", a, b)

    @folded
    def mul(self, a: Value, b: Value) -> Value:
        """Product."""
        for one, other in ((a, b), (b, a)):
            if not isinstance(one, Sym) and one.ndim == 0 and one.item() == 1:
                return other
        return self._between("Mul", a, b)

    @folded
    def div(self, a: Value, b: Value) -> Value:
        """Quotient."""
        if not isinstance(b, Sym) and b.ndim == 0 and b.item() == 1:
            return a
        return self._between("Div", a, b)

    @folded
    def minimum(self, a: Value, b: Value) -> Value:
        """Minimum."""
        return self._extreme("Min", "less", a, b)

    @folded
    def maximum(self, a: Value, b: Value) -> Value:
        """Maximum."""
        return self._extreme("Max", "greater", a, b)

    def _extreme(self, op: str, how: str, a: Value, b: Value) -> Value:
        if kind_of_value(a) == "int" and self.emitter.opset < OR_EQUAL_SINCE:
            chosen: Value = self.where(self.compare(how, a, b), a, b)
            return chosen
        return self._between(op, a, b)

    @folded
    def exp(self, a: Value) -> Value:
        """Exponential."""
        return self._same_shape("Exp", a)

    @folded
    def sqrt(self, a: Value) -> Value:
        """Square root."""
        return self._same_shape("Sqrt", a)

    @folded
    def sigmoid(self, a: Value) -> Value:
        """Logistic function."""
        return self._same_shape("Sigmoid", a)

    @folded
    def tanh(self, a: Value) -> Value:
        """Hyperbolic tangent."""
        return self._same_shape("Tanh", a)

    @folded
    def relu(self, a: Value) -> Value:
        """Rectifier."""
        return self._same_shape("Relu", a)

    @folded
    def elu(self, a: Value) -> Value:
        """Exponential linear unit."""
        return self._elu(a, 1.0) if self.emitter.is_double else self._same_shape("Elu", a)

    @folded
    def selu(self, a: Value) -> Value:
        """Scaled exponential linear unit."""
        if not self.emitter.is_double:
            return self._same_shape("Selu", a)
        scaled: Value = self.mul(self._elu(a, SELU_ALPHA), self.constant(SELU_GAMMA))
        return scaled

    def _elu(self, a: Value, alpha: float) -> Value:
        below = self.exp(self.minimum(a, self.constant(0.0)))
        rest = self.mul(self.sub(below, self.constant(1.0)), self.constant(alpha))
        total: Value = self.add(self.relu(a), rest)
        return total

    @folded
    def softplus(self, a: Value) -> Value:
        """log(1 + e^a); in double max(a, 0) + log(1 + e^-|a|), which does not overflow."""
        if not self.emitter.is_double:
            return self._same_shape("Softplus", a)
        small = self.exp(self.unary("neg", self.unary("abs", a)))
        total: Value = self.add(
            self.relu(a), self.unary("log", self.add(small, self.constant(1.0)))
        )
        return total

    @folded
    def softsign(self, a: Value) -> Value:
        """a / (1 + |a|)."""
        if not self.emitter.is_double:
            return self._same_shape("Softsign", a)
        quotient: Value = self.div(a, self.add(self.unary("abs", a), self.constant(1.0)))
        return quotient

    @folded
    def compare(self, how: str, a: Value, b: Value) -> Value:
        """Booleans."""
        if how == "not_equal":
            return self._same_shape("Not", self.compare("equal", a, b))
        if how in _STRICT and self.emitter.opset < OR_EQUAL_SINCE:
            strictly = self.compare(_STRICT[how], a, b)
            return self._between("Or", strictly, self.compare("equal", a, b))
        return self._between(_COMPARE[how], a, b, kind="bool")

    @folded
    def logical(self, how: str, *operands: Value) -> Value:
        """Booleans."""
        return self._between(_LOGICAL[how], *operands)

    @folded
    def where(self, condition: Value, a: Value, b: Value) -> Value:
        """Choice."""
        if kind_of_value(a) == "bool":
            # ONNX Runtime's Where does not choose between booleans everywhere
            taken = self.logical("and", condition, a)
            return self._between(
                "Or", taken, self.logical("and", self.logical("not", condition), b)
            )
        return self._between("Where", condition, a, b, kind=kind_of_value(a))

    @folded
    def unary(self, how: str, a: Value) -> Value:
        """Elementwise."""
        if how == "square":
            return self._between("Mul", a, a)
        if kind_of_value(a) == "int" and how in {"floor", "ceil", "round"}:
            return a
        if how in SINGLE_ONLY and self.emitter.is_double:
            raise ValueError(f"ONNX Runtime has no {_UNARY[how]} in double precision")
        if how in _TESTS:
            return self._same_shape(_TESTS[how], a, "bool")
        return self._same_shape(_UNARY[how], a)

    @folded
    def integer_division(self, how: str, a: Value, b: Value) -> Value:
        """Quotient or remainder, rounding down; ONNX's Mod does, its Div does not."""
        if kind_of_value(a) == "int":
            rest = self._between("Mod", a, b)
            if how == "mod":
                return rest
            return self._between("Div", self._between("Sub", a, rest), b)
        quotient = self._same_shape("Floor", self._between("Div", a, b))
        if how == "floor":
            return quotient
        return self._between("Sub", a, self._between("Mul", quotient, b))

    @folded
    def power(self, a: Value, b: Value) -> Value:
        """Power."""
        if not isinstance(b, Sym) and b.ndim == 0 and b.item() == 2:
            return self._between("Mul", a, a)
        return self._between("Pow", a, b)

    @folded
    def reduce(self, how: str, a: Value, axes: Sequence[int], keep: bool) -> Value:
        """Reduction over axes."""
        if how in {"all", "any"}:
            number = self.cast(a, "int")
            found = self.reduce("min" if how == "all" else "max", number, axes, keep)
            truth: Value = self.cast(found, "bool")
            return truth
        dims = dims_of(a)
        gone = {axis % len(dims) for axis in axes} if dims else set()
        if not gone:
            return a
        kept: list[Length] = []
        for k, length in enumerate(dims):
            if k not in gone:
                kept.append(length)
            elif keep:
                kept.append(1)
        op, since = _REDUCE[how]
        return self.emitter.with_axes(
            op, a, sorted(gone), kind_of_value(a), tuple(kept), since=since, keepdims=int(keep)
        )

    @folded
    def mean(self, a: Value) -> Value:
        """Mean of the last axis, kept."""
        mean: Value = self.reduce("mean", a, (-1,), keep=True)
        return mean

    @folded
    def softmax(self, a: Value) -> Value:
        """Over the last axis."""
        return self._same_shape("Softmax", a, axis=-1)

    @folded
    def log_softmax(self, a: Value) -> Value:
        """Over the last axis."""
        return self._same_shape("LogSoftmax", a, axis=-1)

    @folded
    def cast(self, a: Value, kind: str) -> Value:
        """Cast."""
        if kind_of_value(a) == kind:
            return a
        to = {"float": 11 if self.emitter.is_double else 1, "int": 7, "bool": 9}[kind]
        return self._same_shape("Cast", a, kind, to=to)

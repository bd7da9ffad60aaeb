"""For scripts that walk through all that a module's documentation lists.

A section is a function about some classes.  What it covers is read from its
code: the attributes, names and keyword arguments in it and in the functions and
classes of the script that it names.  `run` compares that with what there is.
"""

import ast
import contextlib
import inspect
import os
import re
import sys
import traceback
import warnings

# Whoever has more than is documented is not asked to show it.
MORE_NAMES = bool(os.environ.get("TOUR_MORE_NAMES"))

# Names under which scripts call the class that a section is about.
ALIASES = {"cls", "Executor"}

_sections = []


def section(*subjects):
    """Register a function; what it does is about the classes of these names."""

    def register(function):
        _sections.append((function, subjects))
        return function

    return register


def text(value):
    """Return the repr without what is different in each run."""
    masked = re.sub(r"0x[0-9a-fA-F]+", "0x..", repr(value))
    masked = re.sub(r"\bFuture \d+ in", "Future .. in", masked)
    masked = re.sub(r"\b(pid|parent|id|ident)=\d+", r"\1=..", masked)
    return re.sub(r"((?:started|stopped)(?: daemon)?) \d+", r"\1 ..", masked)


def show(what, *values):
    print(f"  {what}:", *map(text, values), flush=True)


def attempt(what, function, *args, **kwds):
    """Say what the call returns, or which exception it raises."""
    try:
        result = function(*args, **kwds)
    except Exception as error:
        print(f"  {what} raises {type(error).__name__}", flush=True)
        return None
    show(what, result)
    return result


def refuse(what, function, *args, **kwds):
    """Say which exception the call raises, with its message."""
    try:
        result = function(*args, **kwds)
    except Exception as error:
        message = text(str(error))
        print(f"  {what} raises {type(error).__name__}: {message}", flush=True)
    else:
        show(f"{what} does not raise", result)


@contextlib.contextmanager
def warned(what):
    """Say which warnings the block causes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        place = os.path.basename(warning.filename)
        name = warning.category.__name__
        print(f"  {what} warns {name} in {place}: {warning.message}", flush=True)
    if not caught:
        print(f"  {what} does not warn", flush=True)


# --- what the sections cover ------------------------------------------------


class _Names(ast.NodeVisitor):
    def __init__(self):
        self.names = set()
        self.keywords = {}  # by the name of what is called

    def visit_Attribute(self, node):
        self.names.add(node.attr)
        self.generic_visit(node)

    def visit_Name(self, node):
        self.names.add(node.id)

    def visit_Call(self, node):
        keywords = {k.arg for k in node.keywords}
        # attempt("what", function, key=1) calls the function, too.
        for called in (node.func, *node.args[:2]):
            name = getattr(called, "attr", getattr(called, "id", None))
            if name is not None:
                name = "__init__" if name in ALIASES else name
                self.keywords.setdefault(name, set()).update(keywords)
        self.generic_visit(node)


def _definitions(path):
    with open(path) as file:
        tree = ast.parse(file.read())
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name: node for node in tree.body if isinstance(node, kinds)}


def _covered(name, definitions, known):
    """Collect what a definition covers, with what it names of the script."""
    visitor = _Names()
    pending = [name]
    while pending:
        name = pending.pop()
        if name in known:
            continue
        known.add(name)
        before = set(visitor.names)
        visitor.visit(definitions[name])
        pending += (visitor.names - before) & definitions.keys()
    return visitor


def _public(cls):
    """Return the public methods and attributes of a class."""
    common = set(dir(object))
    return {n for n in dir(cls) if n not in common and not n.startswith("_")}


def _optional(function):
    """Return the parameters that can be left out, as far as one can know."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return set()
    return {
        p.name
        for p in parameters
        if p.default is not p.empty
        and p.kind is not p.POSITIONAL_ONLY
        and not p.name.startswith("_")
    }


def _unused(function, visitors, *names):
    """Return the optional parameters that no call names."""
    used = set()
    for visitor in visitors:
        for name in names:
            used |= visitor.keywords.get(name, set())
    return _optional(function) - used


def _elsewhere(method, cls, classes):
    """Return whether it is of a base class that has sections of its own."""
    owner = next(base for base in cls.__mro__ if method in vars(base))
    return owner is not cls and owner in classes.values()


def _missing(functions, classes, covered):
    everything = [visitor for _, visitor in covered]
    names = set().union(*(visitor.names for visitor in everything))
    for name, function in functions.items():
        if name not in names:
            yield name
        if isinstance(function, type):
            continue  # its sections are looked at below
        for parameter in _unused(function, everything, name):
            yield f"{name}({parameter}=)"
    for name, cls in classes.items():
        about = [v for subjects, v in covered if name in subjects]
        if not about:
            yield f"a section about {name}"
            continue
        names = set().union(*(visitor.names for visitor in about))
        if not _elsewhere("__init__", cls, classes):
            for parameter in _unused(cls, about, name, "__init__"):
                yield f"{name}({parameter}=)"
        for method in _public(cls):
            if _elsewhere(method, cls, classes):
                continue
            if method not in names:
                yield f"{name}.{method}"
            for parameter in _unused(getattr(cls, method), about, method):
                yield f"{name}.{method}({parameter}=)"


def run(modules, classes=None, functions=None, undocumented=()):
    """Run all sections; exit with 1 if one fails or something was left out.

    modules: everything in their `__all__` is documented.
    classes: documented ones that are not in there, or are hidden behind a
        function, by name.
    functions: the same for functions and constants.
    undocumented: names that need not be covered.
    """
    failed = False
    # Now: with threads about, 3.11 may fail to parse.
    definitions = _definitions(sys.modules["__main__"].__file__)
    for function, _subjects in _sections:
        print(function.__name__, flush=True)
        try:
            function()
        except Exception:
            failed = True
            print(f"  {function.__name__} fails", flush=True)
            traceback.print_exc()
    functions = dict(functions or {})
    classes = dict(classes or {})
    for module in modules:
        for name in module.__all__:
            value = getattr(module, name)
            functions.setdefault(name, value)
            if isinstance(value, type) and not issubclass(value, BaseException):
                classes.setdefault(name, value)
    covered = [
        (subjects, _covered(function.__name__, definitions, set()))
        for function, subjects in _sections
    ]
    missing = set(_missing(functions, classes, covered)) - set(undocumented)
    if missing and not MORE_NAMES:
        failed = True
        print("left out:", *sorted(missing), file=sys.stderr)
    print("failed" if failed else "everything was covered", flush=True)
    sys.exit(failed)

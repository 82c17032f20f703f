"""cc_library, cc_binary and cc_test that compile their sources as one unit; see docs/adr/0012."""

def _unit(name, srcs):
    """`srcs` with all .cc files as one, each at its own #line; or as they are where there is at most one."""
    sources = [src for src in srcs if src.endswith(".cc") and not src.startswith((":", "//"))]
    if len(sources) < 2:
        return srcs
    unit = name + ".unit.cc"

    # The compiler takes what a #line names for a header, and warns of types of an anonymous namespace in one.
    native.genrule(
        name = name + "_unit",
        srcs = sources,
        outs = [unit],
        cmd = "{ echo '#pragma GCC diagnostic ignored \"-Wsubobject-linkage\"'; " +
              "for f in $(SRCS); do echo \"#line 1 \\\"$$f\\\"\"; cat $$f; done; } >$@",
        visibility = ["//visibility:private"],
    )
    return select({
        "//third_party:apart": srcs,
        "//conditions:default": [unit] + [src for src in srcs if src not in sources],
    })

def cc_library(name, srcs = [], **kwargs):
    native.cc_library(name = name, srcs = _unit(name, srcs), **kwargs)

def cc_binary(name, srcs = [], **kwargs):
    native.cc_binary(name = name, srcs = _unit(name, srcs), **kwargs)

def cc_test(name, srcs = [], **kwargs):
    native.cc_test(name = name, srcs = _unit(name, srcs), **kwargs)

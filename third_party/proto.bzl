"""Protocol buffers and gRPC code with Debian's protoc; see docs/adr for why not the native proto rules."""

def _generate(name, srcs, deps, imports, plugin):
    outs = []
    suffix = ".grpc.pb" if plugin else ".pb"
    for src in srcs:
        stem = src[:-len(".proto")] + suffix
        outs += [stem + ".cc", stem + ".h"]
    out_flag = "--grpc_out" if plugin else "--cpp_out"
    plugin_flag = "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin" if plugin else ""
    root = "$(RULEDIR)" if native.package_name() == "api" else "$(BINDIR)"
    native.genrule(
        name = name,
        srcs = srcs + [dep + "_srcs" for dep in deps],
        outs = outs,
        cmd = "/usr/bin/protoc %s %s=%s %s %s" % (
            plugin_flag,
            out_flag,
            root,
            imports,
            " ".join(["$(locations %s)" % src for src in srcs]),
        ),
    )
    return outs

def orch_proto_library(name, srcs, deps = [], visibility = None, grpc = False):
    """Messages of `srcs` as cc_library `name`; with grpc = True also their services as `name`_grpc.

    Args:
      name: the C++ library of the messages; `name`_srcs is the filegroup of the .proto files.
      srcs: .proto files of this package.
      deps: other orch_proto_library targets whose files are imported.
      visibility: as usual.
      grpc: whether to generate services too, as a second library, so that messages never drag gRPC in.
    """
    imports = "-Iapi -I."
    native.filegroup(
        name = name + "_srcs",
        srcs = srcs + [dep + "_srcs" for dep in deps],
        visibility = visibility,
    )
    outs = _generate(name + "_cc", srcs, deps, imports, plugin = False)
    includes = ["."] if native.package_name() == "api" else []
    native.cc_library(
        name = name,
        srcs = [out for out in outs if out.endswith(".cc")],
        hdrs = [out for out in outs if out.endswith(".h")],
        includes = includes,
        visibility = visibility,
        deps = deps + ["@system//:protobuf"],
    )
    if grpc:
        grpc_outs = _generate(name + "_grpc_cc", srcs, deps, imports, plugin = True)
        native.cc_library(
            name = name + "_grpc",
            srcs = [out for out in grpc_outs if out.endswith(".cc")],
            hdrs = [out for out in grpc_outs if out.endswith(".h")],
            includes = includes,
            visibility = visibility,
            deps = [":" + name, "@system//:grpc"],
        )

//! The generated bindings of `wit/adapter.wit`: the only `bindgen!` of the workspace.
//!
//! Nothing outside this crate sees these types. The public ones are in `types` and `manifest`, so a second version of the contract can be
//! served one day by a frozen copy of this module that is converted to the same public types.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "adapter",
    imports: {
        "infrahub-sync:adapter/http.send": async | trappable,
        "infrahub-sync:adapter/files.list": async | trappable,
        "infrahub-sync:adapter/files.read": async | trappable,
        "infrahub-sync:adapter/files.read-lines": async | trappable,
        "infrahub-sync:adapter/files.append": async | trappable,
        "infrahub-sync:adapter/files.replace": async | trappable,
        "infrahub-sync:adapter/files.remove": async | trappable,
        "infrahub-sync:adapter/memo.get": async | trappable,
        "infrahub-sync:adapter/memo.put": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: { "infrahub-sync:adapter/http.response": crate::response::HostResponse },
});

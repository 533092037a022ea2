/// Where the parts are that the module driver runs.
public struct ModulePrograms: Sendable, Hashable {
    /// The `isle-wasm` program.
    public var runner: String
    /// The `isle-shim` program.
    public var shim: String
    /// libwasmtime, a shared library with the wasmtime C API.
    public var library: String

    public init(runner: String, shim: String, library: String) {
        self.runner = runner
        self.shim = shim
        self.library = library
    }
}

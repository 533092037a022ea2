import CWasmtime

/// libwasmtime, loaded; and its errors as text.
struct Library {
    let api: isle_wasmtime

    /// Nil if it cannot be loaded; the reason is written to standard error.
    init?(path: String) {
        var api = isle_wasmtime()
        if let problem = isle_wasmtime_load(path, &api) {
            Report.line("libwasmtime at \(path) cannot be used: \(String(cString: problem))")
            return nil
        }
        self.api = api
    }

    /// An engine with the settings that artifacts are compiled for; both sides must agree on them.
    func engine(usesFuel: Bool) -> UnsafeMutableRawPointer? {
        guard let config = api.wasm_config_new() else { return nil }
        api.wasmtime_config_epoch_interruption_set(config, true)
        api.wasmtime_config_consume_fuel_set(config, usesFuel)
        return api.wasm_engine_new_with_config(config)
    }

    func message(ofError error: UnsafeMutableRawPointer) -> String {
        var bytes = isle_wasm_bytes()
        api.wasmtime_error_message(error, &bytes)
        return Self.text(bytes)
    }

    func message(ofTrap trap: UnsafeMutableRawPointer) -> String {
        var bytes = isle_wasm_bytes()
        api.wasm_trap_message(trap, &bytes)
        return Self.text(bytes)
    }

    static func text(_ bytes: isle_wasm_bytes) -> String {
        guard let data = bytes.data else { return "" }
        let raw = UnsafeRawBufferPointer(start: data, count: bytes.size)
        return String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
    }
}

import CWasmtime
import Glibc

/// Runs a compiled module or component as a WASI command.
struct Runner {
    let command: Command.Run
    /// As the shell gives for SIGABRT, what wasmtime's own command ends with after a trap.
    private static let trapped: Int32 = 134

    /// The guest's exit code; 134 after a trap, 124 when a time limit was reached, 125 if it could not be run.
    func run() -> Int32 {
        guard let library = Library(path: command.library), let engine = library.engine(usesFuel: command.fuel != nil),
            let store = library.api.wasmtime_store_new(engine, nil, nil),
            let context = library.api.wasmtime_store_context(store), let wasi = makeWASI(library)
        else { return 125 }
        library.api.wasmtime_store_limiter(store, command.memory ?? -1, 1_000_000, 1000, 1000, 1000)
        library.api.wasmtime_context_set_epoch_deadline(context, 1)
        if let error = library.api.wasmtime_context_set_wasi(context, wasi) { return refuse(library, error) }
        if let fuel = command.fuel, let error = library.api.wasmtime_context_set_fuel(context, fuel) {
            return refuse(library, error)
        }
        let watchdog = Watchdog(
            wall: command.timeout, processor: command.cpuTime, interrupt: library.api.wasmtime_engine_increment_epoch,
            engine: engine)
        watchdog.start()
        let outcome =
            command.isComponent ? runComponent(library, engine, context) : runCore(library, engine, context)
        return report(library, outcome, watchdog)
    }

    private enum Outcome {
        case ended(Int32)
        case error(UnsafeMutableRawPointer)
        case trap(UnsafeMutableRawPointer)
        case refused(String)
    }

    private func runCore(
        _ library: Library, _ engine: UnsafeMutableRawPointer, _ context: UnsafeMutableRawPointer
    ) -> Outcome {
        var module: UnsafeMutableRawPointer?
        if let error = library.api.wasmtime_module_deserialize_file(engine, command.artifact, &module) {
            return .refused(library.message(ofError: error))
        }
        let linker = library.api.wasmtime_linker_new(engine)
        if let error = library.api.wasmtime_linker_define_wasi(linker) { return .error(error) }
        if let error = library.api.wasmtime_linker_module(linker, context, "", 0, module) { return .error(error) }
        var main = isle_wasm_func()
        if let error = library.api.wasmtime_linker_get_default(linker, context, "", 0, &main) { return .error(error) }
        var trap: UnsafeMutableRawPointer?
        if let error = library.api.wasmtime_func_call(context, &main, nil, 0, nil, 0, &trap) { return .error(error) }
        if let trap { return .trap(trap) }
        return .ended(0)
    }

    private func runComponent(
        _ library: Library, _ engine: UnsafeMutableRawPointer, _ context: UnsafeMutableRawPointer
    ) -> Outcome {
        var component: UnsafeMutableRawPointer?
        if let error = library.api.wasmtime_component_deserialize_file(engine, command.artifact, &component) {
            return .refused(library.message(ofError: error))
        }
        let linker = library.api.wasmtime_component_linker_new(engine)
        if let error = library.api.wasmtime_component_linker_add_wasip2(linker) { return .error(error) }
        var instance = isle_wasm_component_instance()
        if let error = library.api.wasmtime_component_linker_instantiate(linker, context, component, &instance) {
            return .error(error)
        }
        guard let index = runFunction(library, &instance, context) else {
            return .refused("the component does not export wasi:cli/run@0.2: it is no command")
        }
        var main = isle_wasm_component_func()
        guard library.api.wasmtime_component_instance_get_func(&instance, context, index, &main) else {
            return .refused("the component's wasi:cli/run is not a function")
        }
        var result = isle_wasm_value()
        if let error = library.api.wasmtime_component_func_call(&main, context, nil, 0, &result, 1) {
            return .error(error)
        }
        return .ended(result.kind == ISLE_WASM_KIND_RESULT && !result.of.result.is_ok ? 1 : 0)
    }

    /// The index of `run` in whichever 0.2 version of `wasi:cli/run` is exported.
    private func runFunction(
        _ library: Library, _ instance: inout isle_wasm_component_instance, _ context: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer? {
        for patch in 0...20 {
            let name = "wasi:cli/run@0.2.\(patch)"
            guard
                let interface = library.api.wasmtime_component_instance_get_export_index(
                    &instance, context, nil, name, name.utf8.count)
            else { continue }
            return library.api.wasmtime_component_instance_get_export_index(&instance, context, interface, "run", 3)
        }
        return nil
    }

    private func makeWASI(_ library: Library) -> UnsafeMutableRawPointer? {
        guard let wasi = library.api.wasi_config_new() else { return nil }
        library.api.wasi_config_inherit_stdin(wasi)
        library.api.wasi_config_inherit_stdout(wasi)
        library.api.wasi_config_inherit_stderr(wasi)
        if command.network {
            library.api.wasi_config_inherit_network(wasi)
            library.api.wasi_config_allow_ip_name_lookup(wasi, true)
        }
        let environment = Self.environment()
        let isGood =
            CStrings(command.arguments).use { library.api.wasi_config_set_argv(wasi, command.arguments.count, $0) }
            && CStrings(environment.map(\.name)).use { names in
                CStrings(environment.map(\.value)).use {
                    library.api.wasi_config_set_env(wasi, environment.count, names, $0)
                }
            }
        guard isGood else {
            Report.line("arguments and environment must be UTF-8")
            return nil
        }
        for directory in command.directories {
            // Bits of the C API: 1 read, 2 write, for folders and for the files in them.
            let permissions = directory.readOnly ? 1 : 3
            guard
                library.api.wasi_config_preopen_dir(wasi, directory.host, directory.guest, permissions, permissions)
            else {
                Report.line("the folder \(directory.guest) cannot be opened: is it a folder that the module may read?")
                return nil
            }
        }
        return wasi
    }

    private static func environment() -> [(name: String, value: String)] {
        var found: [(String, String)] = []
        guard var entry = isle_environment() else { return [] }
        while let text = entry.pointee {
            let bytes = UnsafeRawBufferPointer(start: text, count: strlen(text))
            if let split = bytes.firstIndex(of: 61) {
                let name = String(decoding: bytes[..<split], as: UTF8.self)
                if !name.hasPrefix("SWIFT_") {
                    found.append((name, String(decoding: bytes[(split + 1)...], as: UTF8.self)))
                }
            }
            entry += 1
        }
        return found
    }

    private func report(_ library: Library, _ outcome: Outcome, _ watchdog: Watchdog) -> Int32 {
        switch outcome {
        case .ended(let code): return code
        case .refused(let reason):
            Report.line(reason)
            return 125
        case .error(let error):
            var status: Int32 = 0
            if library.api.wasmtime_error_exit_status(error, &status) { return status & 0xff }
            if let limit = watchdog.reached { return timedOut(limit) }
            var frames = isle_wasm_frames()
            library.api.wasmtime_error_wasm_trace(error, &frames)
            return trap(library, library.message(ofError: error), frames)
        case .trap(let value):
            if let limit = watchdog.reached { return timedOut(limit) }
            var frames = isle_wasm_frames()
            library.api.wasm_trap_trace(value, &frames)
            return trap(library, library.message(ofTrap: value), frames)
        }
    }

    private func timedOut(_ limit: Watchdog.Limit) -> Int32 {
        Report.line("stopped: the limit of \(limit.milliseconds) ms of \(limit.name) is reached")
        return 124
    }

    /// wasmtime's message holds the backtrace already when it is known; the frames are for when it does not.
    private func trap(_ library: Library, _ message: String, _ frames: isle_wasm_frames) -> Int32 {
        Report.line("trap: " + message)
        guard !message.contains("wasm backtrace") else { return Self.trapped }
        for index in 0..<frames.size {
            guard let frame = frames.data[index] else { continue }
            let name = library.api.wasmtime_frame_func_name(frame).map { Library.text($0.pointee) } ?? "<unknown>"
            Report.line("  \(index): \(name) (function \(library.api.wasm_frame_func_index(frame)))")
        }
        return Self.trapped
    }

    private func refuse(_ library: Library, _ error: UnsafeMutableRawPointer) -> Int32 {
        Report.line(library.message(ofError: error))
        return 125
    }
}

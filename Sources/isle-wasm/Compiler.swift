import CWasmtime
import Glibc

/// Compiles a module or component to native code and writes it to a file.
struct Compiler {
    let command: Command.Compile

    /// The exit code: 0 done, 2 the input is not valid WebAssembly, 1 anything else.
    func run() -> Int32 {
        guard let input = read(command.module) else { return 1 }
        let output = open(command.output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard output >= 0 else {
            Report.line("\(command.output) cannot be made: \(String(cString: strerror(errno)))")
            return 1
        }
        guard let library = Library(path: command.library), dropPrivileges(),
            let engine = library.engine(usesFuel: command.usesFuel)
        else { return 1 }
        var artifact = isle_wasm_bytes()
        var compiled: UnsafeMutableRawPointer?
        // The eighth byte of the header tells a component from a core module (component-model, Binary.md).
        let isComponent = input.count > 6 && input[6] == 1
        var error =
            isComponent
            ? library.api.wasmtime_component_new(engine, input, input.count, &compiled)
            : library.api.wasmtime_module_new(engine, input, input.count, &compiled)
        if let error {
            Report.line(library.message(ofError: error))
            return 2
        }
        error =
            isComponent
            ? library.api.wasmtime_component_serialize(compiled, &artifact)
            : library.api.wasmtime_module_serialize(compiled, &artifact)
        if let error {
            Report.line(library.message(ofError: error))
            return 1
        }
        return write(artifact, to: output) ? 0 : 1
    }

    private func read(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            Report.line("\(path) cannot be read: \(String(cString: strerror(errno)))")
            return nil
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_size < 1 << 31 else {
            Report.line("\(path) is too large")
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var done = 0
        while done < bytes.count {
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(file, $0.baseAddress?.advanced(by: done), $0.count - done)
            }
            guard got > 0 else { break }
            done += got
        }
        return done == bytes.count ? bytes : nil
    }

    /// The compiler reads what anybody may have written: it does so as nobody, without a way back.
    private func dropPrivileges() -> Bool {
        guard let user = command.user, geteuid() == 0 else { return true }
        guard isle_become(user) == 0 else {
            Report.line("privileges cannot be dropped: \(String(cString: strerror(errno)))")
            return false
        }
        return true
    }

    private func write(_ artifact: isle_wasm_bytes, to output: Int32) -> Bool {
        var done = 0
        while done < artifact.size {
            let count = Glibc.write(output, artifact.data + done, artifact.size - done)
            guard count > 0 else {
                Report.line("\(command.output) cannot be written: \(String(cString: strerror(errno)))")
                return false
            }
            done += count
        }
        return fsync(output) == 0
    }
}

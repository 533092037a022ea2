import Glibc
import Model

/// Isle's own programs and libraries that the daemon starts or loads.
struct Programs {
    let shim: String
    let initProgram: String
    let wasm: String
    let library: String

    /// - Parameter directory: where they are; nil looks beside the daemon's own program and in `../lib/isle`.
    init(directory: String?) throws {
        let own = Self.ownDirectory
        let candidates = directory.map { [$0] } ?? [own, own + "/../lib/isle", "/usr/local/lib/isle", "/usr/lib/isle"]
        guard let found = candidates.first(where: { access($0 + "/isle-shim", X_OK) == 0 }) else {
            throw EngineError(
                .notFound, "isle-shim is in none of: \(candidates.joined(separator: ", "))",
                hint: "make build makes it; --lib-dir says where it is")
        }
        guard let resolved = realpath(found, nil) else { throw EngineError(.notFound, "\(found) cannot be resolved") }
        defer { free(resolved) }
        let folder = String(cString: resolved)
        shim = folder + "/isle-shim"
        initProgram = folder + "/isle-init"
        wasm = folder + "/isle-wasm"
        library = folder + "/libwasmtime.so"
    }

    private static var ownDirectory: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "/" + path.split(separator: "/").dropLast().joined(separator: "/")
    }
}

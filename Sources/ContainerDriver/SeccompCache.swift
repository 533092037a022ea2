import FoundationEssentials
import Glibc
import LinuxHost
import Model
import Synchronization

/// Keeps compiled filters: libseccomp takes about 20 ms for a list of Docker's size, as long as all the rest of a
/// start. In memory, and in files so that a new daemon finds them. A file begins with the profile it was compiled
/// from, and one that was made from another profile, or is damaged, is compiled anew.
final class SeccompCache: Sendable {
    private let directory: String
    private let memory = Mutex<[String: [UInt8]]>([:])

    init(directory: String) { self.directory = directory }

    /// The filter of a profile.
    func filter(for profile: SeccompProfile) async throws -> [UInt8] {
        let text = profile.canonicalText
        if let known = memory.withLock({ $0[text] }) { return known }
        let directory = directory
        let filter = try await runBlocking {
            let path = "\(directory)/\(Self.name(text)).bpf"
            if let stored = Self.read(path, text) { return stored }
            let compiled = try SeccompCompiler.compile(profile)
            try Self.write(compiled, text, path, directory)
            return compiled
        }
        memory.withLock { cache in
            // Custom profiles must not let the daemon grow for ever.
            if cache.count >= 64 { cache.removeAll() }
            cache[text] = filter
        }
        return filter
    }

    private static func header(_ text: String) -> [UInt8] {
        Array("isle-seccomp 1 \(text.utf8.count)\n".utf8) + Array(text.utf8)
    }

    private static func read(_ path: String, _ text: String) -> [UInt8]? {
        // Whatever is wrong with the file, it is made anew.
        guard let bytes = try? readSmallFile(path, limit: 4 << 20) else { return nil }
        let header = header(text)
        let filter = bytes.dropFirst(header.count)
        guard bytes.starts(with: header), !filter.isEmpty, filter.count % 8 == 0 else { return nil }
        return Array(filter)
    }

    private static func write(_ filter: [UInt8], _ text: String, _ path: String, _ directory: String) throws {
        try HostFiles.makeDirectory(directory, mode: 0o700)
        try HostFiles.replace(path, with: header(text) + filter, mode: 0o600)
    }

    /// FNV-1a: a file name, not a proof; the header is compared in full.
    private static func name(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}

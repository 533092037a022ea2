import Glibc
import LinuxHost
import Logging
import Model

/// The pages of the program's own code that are mapped.
enum ProgramPages {
    /// Unmaps them. What is needed again comes back from the page cache with a minor fault, what served only the start stays
    /// away: it counts as the daemon's memory otherwise. Nothing but code is touched, which is never written and has no
    /// relocations of its own.
    /// - Throws: what reading `/proc/self/maps` (proc(5)) gives.
    static func release() throws {
        let program = String(decoding: try link("/proc/self/exe"), as: UTF8.self)
        let maps = String(decoding: try readSmallFile("/proc/self/maps", limit: 8 << 20), as: UTF8.self)
        for line in maps.split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard fields.count == 6, fields[1] == "r-xp", fields[5].drop(while: { $0 == " " }) == program else {
                continue
            }
            let ends = fields[0].split(separator: "-").compactMap { UInt(String($0), radix: 16) }
            guard ends.count == 2, let start = UnsafeMutableRawPointer(bitPattern: ends[0]) else { continue }
            // Advice: where it is not taken nothing is lost.
            _ = madvise(start, Int(ends[1] - ends[0]), MADV_DONTNEED)
        }
    }

    /// As `release`; a host that does not let it be costs memory and nothing else.
    static func releaseAfterStart(_ logger: Logger) {
        do { try release() } catch { logger.debug("code pages stay mapped", metadata: ["error": "\(error)"]) }
    }

    private static func link(_ path: String) throws -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        guard count >= 0 else { throw EngineError(.internal, "reading \(path): \(String(errno: errno))") }
        return buffer[..<count].map { UInt8(bitPattern: $0) }
    }
}

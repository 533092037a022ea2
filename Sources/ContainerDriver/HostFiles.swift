import CHost
import Glibc
import LinuxHost
import Model

/// Small files and folders of the host that the driver writes, all in folders of its own.
enum HostFiles {
    /// Makes a folder and those above it. One that is there keeps its mode.
    static func makeDirectory(_ path: String, mode: UInt32) throws {
        if mkdir(path, mode) == 0 {
            // mkdir(2) takes the umask away.
            guard chmod(path, mode) == 0 else { throw EngineError.system(errno, "set the mode of \(path)") }
            return
        }
        if errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
            throw EngineError(.internal, "creating folder \(path): \(String(errno: errno))")
        }
        try makeDirectory(String(path[..<slash]), mode: mode)
        try makeDirectory(path, mode: mode)
    }

    /// Writes a new file, which must not exist.
    static func write(_ path: String, _ bytes: [UInt8], mode: UInt32) throws {
        let raw = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard raw >= 0 else { throw EngineError(.internal, "creating \(path): \(String(errno: errno))") }
        let file = OwnedDescriptor(raw)
        guard fchmod(raw, mode) == 0 else {
            throw EngineError(.internal, "setting the mode of \(path): \(String(errno: errno))")
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                let code: EngineError.Code = errno == ENOSPC ? .resourceExhausted : .internal
                throw EngineError(code, "writing \(path): \(String(errno: errno))")
            }
            rest = rest.dropFirst(count)
        }
    }

    static func write(_ path: String, _ text: String, mode: UInt32) throws {
        try write(path, Array(text.utf8), mode: mode)
    }

    /// Puts a file with this content in place of whatever is there, at once: readers see the old or the new one.
    static func replace(_ path: String, with bytes: [UInt8], mode: UInt32) throws {
        let temporary = "\(path).\(getpid()).\(UInt32.random(in: .min ... .max)).new"
        do {
            try write(temporary, bytes, mode: mode)
            guard rename(temporary, path) == 0 else {
                throw EngineError(.internal, "renaming \(temporary): \(String(errno: errno))")
            }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The target of a link; nil if it is none.
    static func linkTarget(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes -> Int in
            guard let start = bytes.baseAddress else { return 0 }
            return readlink(path, start.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}

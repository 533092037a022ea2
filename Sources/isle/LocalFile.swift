import CHost
import CLIKit
import Client
import Glibc
import Model

/// Files of this machine that the command line names.
enum LocalFile {
    /// The text of `path`; `-` is standard input.
    static func text(_ path: String, _ option: String) throws(UsageError) -> String {
        let file = path == "-" ? OwnedDescriptor(dup(STDIN_FILENO)) : OwnedDescriptor(open(path, O_RDONLY | O_CLOEXEC))
        guard file.raw >= 0 else {
            throw UsageError("\(option) \(Quantity.quoted(path)) cannot be opened: \(String(cString: strerror(errno)))")
        }
        var all: [UInt8] = []
        while true {
            guard let piece = piece(of: file, most: 1 << 16) else {
                throw UsageError(
                    "\(option) \(Quantity.quoted(path)) cannot be read: \(String(cString: strerror(errno)))")
            }
            if piece.isEmpty { break }
            all += piece
        }
        return String(decoding: all, as: UTF8.self)
    }

    /// The next bytes of `file`; empty at its end, nil on an error.
    static func piece(of file: OwnedDescriptor, most: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: most)
        while true {
            let got = bytes.withUnsafeMutableBytes { read(file.raw, $0.baseAddress, $0.count) }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { return nil }
            bytes.removeLast(most - got)
            return bytes
        }
    }

    /// Writes beside `path` and renames at the end, so that a half file never carries the name.
    static func replace(_ path: String, _ body: (_ write: ([UInt8]) throws -> Void) throws -> Void) throws {
        func failure(_ path: String) -> ClientError {
            ClientError(.local, "\(Quantity.quoted(path)) cannot be written: \(String(cString: strerror(errno)))")
        }
        let temporary = path + ".part"
        let file = OwnedDescriptor(open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
        guard file.raw >= 0 else { throw failure(temporary) }
        do {
            try body { piece in
                var rest = piece[...]
                while !rest.isEmpty {
                    let count = rest.withUnsafeBytes { write(file.raw, $0.baseAddress, $0.count) }
                    guard count > 0 || errno == EINTR else { throw failure(temporary) }
                    if count > 0 { rest = rest.dropFirst(count) }
                }
            }
            guard fsync(file.raw) == 0, rename(temporary, path) == 0 else { throw failure(path) }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// Size in bytes if `path` is a regular file.
    static func regularSize(_ path: String) -> Int64? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int64(status.st_size)
    }

    /// Whether `path` is a block device.
    @Sendable static func isBlockDevice(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFBLK
    }

    /// The last part of `path`.
    static func name(of path: String) -> String { String(path.split(separator: "/").last ?? "") }
}

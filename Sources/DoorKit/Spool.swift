import Glibc
import Hummingbird
public import HummingbirdCore
import LinuxHost
import Model
public import NIOCore

/// A temporary file in a folder of its own: what is uploaded or exported passes through it.
public struct Spool: Sendable {
    public let path: String
    public let folder: String

    /// - Parameters:
    ///   - name: what the client calls the file; only what is harmless of it is kept, for its ending.
    ///   - format: an ending to add, if the name does not have it.
    public init(directory: String, name: String?, format: String?) throws {
        var template = Array("\(directory)/upload-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw EngineError(
                errno == ENOSPC ? .resourceExhausted : .internal,
                "a folder in \(directory) cannot be made: \(String(errno: errno))")
        }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var file = Self.harmless(name ?? "")
        if let format = format.map(Self.harmless), !file.hasSuffix("." + format) { file += "." + format }
        path = "\(folder)/\(file)"
    }

    /// An error about the file without the folder that it was put into, which says nothing to who sent it.
    public func named(_ error: any Error) -> any Error {
        guard var known = error as? EngineError else { return error }
        known.message = known.message.replacing(folder + "/", with: "")
        return known
    }

    /// The last part of a path, without what could mean something to a shell or a file system.
    public static func harmless(_ name: String) -> String {
        let last = name.split(separator: "/").last.map(String.init) ?? ""
        let kept = last.utf8.filter { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
        }
        let bare = kept.drop { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }.suffix(100)
        return bare.isEmpty ? "file" : String(decoding: bare, as: UTF8.self)
    }

    /// Writes a request's body into the file.
    public func fill(_ body: RequestBody) async throws {
        let writer = try writer()
        for try await bytes in body { try await writer.write(bytes) }
        try await writer.finish()
    }

    /// Opens the file, which is new, for writing.
    public func writer() throws -> Writer {
        let descriptor = OwnedDescriptor(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600))
        guard descriptor.raw >= 0 else { throw failure("made") }
        return Writer(spool: self, descriptor: descriptor)
    }

    /// Gathers small pieces; used by one task.
    public final class Writer {
        private let spool: Spool
        private let descriptor: OwnedDescriptor
        private var pending = ByteBuffer()

        init(spool: Spool, descriptor: OwnedDescriptor) {
            self.spool = spool
            self.descriptor = descriptor
        }

        public func write(_ bytes: ByteBuffer) async throws {
            pending.writeImmutableBuffer(bytes)
            guard pending.readableBytes >= 1 << 20 else { return }
            try await spool.write(pending, to: descriptor)
            pending.clear()
        }

        public func finish() async throws {
            try await spool.write(pending, to: descriptor)
            descriptor.close()
        }
    }

    private func write(_ bytes: ByteBuffer, to descriptor: OwnedDescriptor) async throws {
        try await runBlocking {
            var rest = bytes
            while rest.readableBytes > 0 {
                let count = rest.readWithUnsafeReadableBytes {
                    max(0, Glibc.write(descriptor.raw, $0.baseAddress, $0.count))
                }
                guard count > 0 || errno == EINTR else { throw failure("written") }
            }
        }
    }

    /// The file as a response's body; it is removed when the body was sent, or could not be.
    public func body() throws -> ResponseBody {
        let descriptor = OwnedDescriptor(open(path, O_RDONLY | O_CLOEXEC))
        guard descriptor.raw >= 0 else { throw failure("read") }
        let size = lseek(descriptor.raw, 0, SEEK_END)
        guard size >= 0, lseek(descriptor.raw, 0, SEEK_SET) == 0 else { throw failure("read") }
        let spool = self
        return ResponseBody(contentLength: Int(size)) { writer in
            do {
                var left = Int(size)
                while left > 0 {
                    let most = min(left, 1 << 18)
                    let bytes = try await runBlocking { () throws -> ByteBuffer in
                        var buffer = ByteBufferAllocator().buffer(capacity: most)
                        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: most) { raw in
                            max(0, read(descriptor.raw, raw.baseAddress, most))
                        }
                        guard buffer.readableBytes > 0 else { throw spool.failure("read") }
                        return buffer
                    }
                    left -= bytes.readableBytes
                    try await writer.write(bytes)
                }
                try await writer.finish(nil)
            } catch {
                await spool.remove()
                throw error
            }
            await spool.remove()
        }
    }

    public func remove() async {
        await runBlocking {
            unlink(path)
            rmdir(folder)
        }
    }

    /// Removes the folder with all files in it.
    public func removeAll() async {
        await runBlocking {
            // What is left here is removed at the next start.
            try? RootDirectory(path: String(folder[..<(folder.lastIndex(of: "/") ?? folder.startIndex)])).removeTree(
                folder.split(separator: "/").last.map(String.init) ?? "")
        }
    }

    private func failure(_ what: String) -> EngineError {
        let number = errno
        return EngineError(
            number == ENOSPC || number == EDQUOT ? .resourceExhausted : .internal,
            "the file \(path) cannot be \(what): \(String(errno: number))")
    }
}

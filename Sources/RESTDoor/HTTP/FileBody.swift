import Glibc
import Hummingbird
import HummingbirdCore
import LinuxHost
import Model
import NIOCore

/// A response's body made of texts and whole files, one after the other.
enum FileBody {
    enum Piece {
        case bytes([UInt8])
        /// The file is opened now, so that its removal meanwhile does no harm.
        case file(String)
    }

    private enum Open: Sendable {
        case bytes([UInt8])
        case file(OwnedDescriptor, Int64)

        var size: Int64 {
            switch self {
            case .bytes(let bytes): Int64(bytes.count)
            case .file(_, let size): size
            }
        }
    }

    /// - Parameter cleanUp: called once when the body was sent, or could not be.
    static func make(_ pieces: [Piece], cleanUp: @escaping @Sendable () async -> Void) throws -> ResponseBody {
        let opened = try pieces.map { piece -> Open in
            switch piece {
            case .bytes(let bytes): return .bytes(bytes)
            case .file(let path):
                let raw = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
                guard raw >= 0 else { throw EngineError.system(errno, "open \(path)") }
                let file = OwnedDescriptor(raw)
                let size = lseek(raw, 0, SEEK_END)
                guard size >= 0, lseek(raw, 0, SEEK_SET) == 0 else {
                    throw EngineError.system(errno, "look at \(path)")
                }
                return .file(file, Int64(size))
            }
        }
        return ResponseBody(contentLength: Int(opened.reduce(0) { $0 + $1.size })) { writer in
            do {
                for piece in opened {
                    switch piece {
                    case .bytes(let bytes): try await writer.write(ByteBuffer(bytes: bytes))
                    case .file(let file, let size):
                        var left = size
                        while left > 0 {
                            let bytes = try await next(of: file, most: Int(min(left, 1 << 18)))
                            left -= Int64(bytes.readableBytes)
                            try await writer.write(bytes)
                        }
                    }
                }
                try await writer.finish(nil)
            } catch {
                await cleanUp()
                throw error
            }
            await cleanUp()
        }
    }

    private static func next(of file: OwnedDescriptor, most: Int) async throws -> ByteBuffer {
        try await runBlocking {
            var buffer = ByteBufferAllocator().buffer(capacity: most)
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: most) { raw in
                max(0, read(file.raw, raw.baseAddress, most))
            }
            guard buffer.readableBytes > 0 else { throw EngineError(.internal, "a file became shorter") }
            return buffer
        }
    }
}

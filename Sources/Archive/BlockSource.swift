import Glibc
import LinuxHost
public import Model

/// A stream of bytes, taken block by block by one thread.
public protocol BlockSource: AnyObject {
    /// The next bytes, valid until the next call; empty at the end, and from then on.
    func nextBlock() throws -> UnsafeRawBufferPointer
}

/// Bytes in memory.
public final class MemorySource: BlockSource {
    private let storage: UnsafeMutableRawBufferPointer
    private var isDone = false

    public init(_ bytes: some Collection<UInt8>) {
        storage = .allocate(byteCount: max(bytes.count, 1), alignment: 16)
        storage.copyBytes(from: bytes)
        isDone = bytes.isEmpty
        count = bytes.count
    }

    private let count: Int

    deinit { storage.deallocate() }

    public func nextBlock() throws -> UnsafeRawBufferPointer {
        if isDone { return UnsafeRawBufferPointer(start: nil, count: 0) }
        isDone = true
        return UnsafeRawBufferPointer(rebasing: storage[..<count])
    }
}

/// The bytes of an open file from where it stands, as they are.
public final class FileSource: BlockSource {
    private let descriptor: OwnedDescriptor
    private let name: String
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)

    /// `name` is for messages.
    public init(_ descriptor: OwnedDescriptor, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    deinit { buffer.deallocate() }

    public func nextBlock() throws -> UnsafeRawBufferPointer {
        while true {
            let count = read(descriptor.raw, buffer.baseAddress, buffer.count)
            if count >= 0 { return UnsafeRawBufferPointer(rebasing: buffer[..<count]) }
            if errno != EINTR { throw EngineError.system(errno, "read \(name)") }
        }
    }
}

import CHost
import DriverKit
import Glibc
import LinuxHost
import Model

/// An open regular file of a container.
struct ContainerFile: GuestFile {
    let descriptor: OwnedDescriptor
    /// For messages.
    let name: String
    let owners: FileOwners
    let gate: FileGate

    func facts() async throws -> FileFacts {
        try await perform { file, owners in owners.facts(try RootDirectory.status(of: file)) }
    }

    func read(at offset: Int64, count: Int) async throws -> [UInt8] {
        let name = name
        return try await perform { file, _ in
            var bytes = [UInt8](repeating: 0, count: count)
            while true {
                let result = pread(file.raw, &bytes, count, off_t(offset))
                if result < 0, errno == EINTR { continue }
                guard result >= 0 else { throw EngineError.system(errno, "read \(Names.printable(name))") }
                bytes.removeLast(count - result)
                return bytes
            }
        }
    }

    func write(_ bytes: [UInt8], at offset: Int64) async throws {
        let name = name
        try await perform { file, _ in
            var done = 0
            while done < bytes.count {
                let result = bytes.withUnsafeBytes {
                    pwrite(
                        file.raw, UnsafeRawBufferPointer(rebasing: $0[done...]).baseAddress, bytes.count - done,
                        off_t(offset) + off_t(done))
                }
                if result < 0, errno == EINTR { continue }
                guard result > 0 else { throw EngineError.system(errno, "write \(Names.printable(name))") }
                done += result
            }
        }
    }

    func change(_ change: FileChange) async throws {
        let name = name
        try await perform { file, owners in
            // The root plays no part where a file is open already.
            try owners.act { try FileOpener.apply(change, to: file, name: name, owners) }
        }
    }

    func synchronize() async throws {
        let name = name
        try await perform { file, _ in
            let result = isle_fsync(file.raw)
            guard result == 0 else { throw EngineError.system(-result, "write out \(Names.printable(name))") }
        }
    }

    func close() { gate.drop(descriptor) }

    private func perform<T: Sendable>(
        _ body: @escaping @Sendable (OwnedDescriptor, FileOwners) throws -> T
    ) async throws -> T {
        let (descriptor, owners, name) = (descriptor, owners, name)
        return try await gate.pass {
            guard descriptor.raw >= 0 else {
                throw EngineError(.conflict, "the file \(Names.quoted(name)) was closed")
            }
            return try await runOnOwnThread { try body(descriptor, owners) }
        }
    }
}

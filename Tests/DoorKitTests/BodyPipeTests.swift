import DoorKit
import Glibc
import HummingbirdCore
import LinuxHost
import Model
import NIOCore
import Testing

@Suite("Bodies that are read from a pipe")
struct BodyPipeTests {
    init() { signal(SIGPIPE, SIG_IGN) }

    /// A body of `count` pieces of 100,000 bytes that may end with an error, and how many pieces were taken of it.
    private func body(_ count: Int, failing: Bool = false) -> (RequestBody, taken: Counter) {
        let taken = Counter()
        let (stream, source) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
        for _ in 0..<count { source.yield(ByteBuffer(repeating: 5, count: 100_000)) }
        if failing { source.finish(throwing: EngineError(.unavailable, "gone")) } else { source.finish() }
        let counted = stream.map { buffer in
            await taken.add()
            return buffer
        }
        return (RequestBody(asyncSequence: counted), taken)
    }

    private actor Counter {
        private(set) var value = 0
        func add() { value += 1 }
    }

    /// Reads to the end, or up to `most` bytes.
    private static func drain(_ descriptor: OwnedDescriptor, most: Int = .max) async throws -> Int {
        try await runOnOwnThread {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            var total = 0
            while total < most {
                let count = read(descriptor.raw, &buffer, buffer.count)
                guard count > 0 else { break }
                total += count
            }
            return total
        }
    }

    @Test("all of it arrives")
    func whole() async throws {
        let (body, _) = body(40)
        #expect(try await BodyPipe.feed(body) { try await Self.drain($0) } == 4_000_000)
    }

    @Test("what is not read is taken from the client all the same")
    func unread() async throws {
        let (first, taken) = body(40)
        #expect(try await BodyPipe.feed(first) { try await Self.drain($0, most: 1000) } > 0)
        #expect(await taken.value == 40)
        let (second, all) = body(40)
        let error = await #expect(throws: EngineError.self) {
            try await BodyPipe.feed(second) { _ -> Int in throw EngineError(.invalidArgument, "not this") }
        }
        #expect(error?.message == "not this")
        #expect(await all.value == 40)
    }

    @Test("a client that goes ends the reader")
    func gone() async throws {
        let (body, _) = body(3, failing: true)
        let error = await #expect(throws: EngineError.self) {
            try await BodyPipe.feed(body) { descriptor -> Int in
                let count = try await Self.drain(descriptor)
                // Whoever takes this end for the archive's would believe half a file.
                #expect(Task.isCancelled)
                return count
            }
        }
        #expect(error?.message == "gone")
    }
}

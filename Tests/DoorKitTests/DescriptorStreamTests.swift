import DoorKit
import Glibc
import Model
import NIOCore
import Testing

@Suite("Streams of descriptors")
struct DescriptorStreamTests {
    private func makePipe() throws -> (reader: OwnedDescriptor, writer: OwnedDescriptor) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw EngineError(.internal, "pipe") }
        return (OwnedDescriptor(ends[0]), OwnedDescriptor(ends[1]))
    }

    @Test("8 MiB through a pipe, writer and reader at their own pace")
    func pipe8() async throws {
        let (readEnd, writeEnd) = try makePipe()
        let total = 8 << 20
        @Sendable func send() async throws {
            let writer = DescriptorWriter(writeEnd)
            let piece = ByteBuffer(repeating: 7, count: 100_000)
            var left = total
            while left > 0 {
                let count = min(left, piece.readableBytes)
                #expect(try await writer.write(piece.getSlice(at: 0, length: count) ?? piece))
                left -= count
            }
            writeEnd.close()
        }
        async let written: Void = send()
        var reader = DescriptorReader(readEnd)
        var received = 0
        while let bytes = try await reader.next() { received += bytes.readableBytes }
        try await written
        #expect(received == total)
    }

    @Test("writing where nobody reads is told")
    func brokenPipe() async throws {
        signal(SIGPIPE, SIG_IGN)
        let (readEnd, writeEnd) = try makePipe()
        readEnd.close()
        #expect(try await DescriptorWriter(writeEnd).write(ByteBuffer(string: "x")) == false)
    }

    @Test("the end of a pty is the end, and nothing of its output is lost")
    func pty() async throws {
        var (mainEnd, otherEnd): (Int32, Int32) = (-1, -1)
        #expect(openpty(&mainEnd, &otherEnd, nil, nil, nil) == 0)
        let (main, other) = (OwnedDescriptor(mainEnd), OwnedDescriptor(otherEnd))
        #expect(write(other.raw, "last words\n", 11) == 11)
        other.close()
        var reader = DescriptorReader(main)
        var text = ""
        while let bytes = try await reader.next() { text += String(buffer: bytes) }
        #expect(text == "last words\r\n")
    }

    @Test("a read that waits can be cancelled")
    func cancelled() async throws {
        let (readEnd, writeEnd) = try makePipe()
        let task = Task {
            var reader = DescriptorReader(readEnd)
            return try await reader.next()
        }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        writeEnd.close()
    }
}

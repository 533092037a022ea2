import DoorKit
import DriverKit
import Model
import NIOCore

/// Moves bytes between a client and a process until the process's output ends, the client goes or detaches.
struct StdioRelay: Sendable {
    let streams: SessionStreams
    /// Streams the client wants.
    var wantsInput: Bool
    var wantsOutput = true
    var wantsError = true
    /// Keys that detach; empty: none do.
    var detachKeys: [UInt8] = []
    /// Whether output is told apart by frames; nil: unless there is a terminal.
    var framed: Bool?
    /// Ends with the connection.
    let closing: EventLoopFuture<Void>

    private var hasTerminal: Bool { streams.error == nil }

    private enum Step: Sendable {
        case outputEnded, inputEnded, left, detached
    }

    /// - Parameter ended: returns when the process has ended; output that another process holds open is waited for a
    ///   little while only from then on. Nil: until the output ends.
    /// - Parameter keepsOpen: the streams are left open when the client detaches, for the caller to read on.
    /// - Returns: whether the client detached.
    @discardableResult
    func run(
        _ client: ClientStream, keepsOpen: Bool = false, ended: (@Sendable () async throws -> Void)? = nil
    ) async throws -> Bool {
        let detached = await withTaskGroup(of: Step.self) { group in
            var detached = false
            var outputs = 1
            let framed = framed ?? !hasTerminal
            group.addTask {
                await pump(streams.output, framed ? OutputFrame.output : nil, wantsOutput, client)
            }
            if let error = streams.error {
                outputs += 1
                group.addTask { await pump(error, framed ? OutputFrame.error : nil, wantsError, client) }
            }
            if wantsInput, client.read != nil { group.addTask { await feed(client) } }
            group.addTask {
                await Self.wait(for: closing)
                return .left
            }
            if let ended {
                group.addTask {
                    do {
                        try await ended()
                        try await Task.sleep(for: .seconds(1))
                    } catch {
                        return .inputEnded
                    }
                    return .left
                }
            }
            loop: for await step in group {
                switch step {
                case .outputEnded:
                    outputs -= 1
                    if outputs == 0 { break loop }
                case .inputEnded: continue
                case .left: break loop
                case .detached:
                    detached = true
                    break loop
                }
            }
            group.cancelAll()
            return detached
        }
        if detached, keepsOpen { return true }
        streams.input?.close()
        streams.output.close()
        streams.error?.close()
        return detached
    }

    private func pump(_ descriptor: OwnedDescriptor, _ frame: UInt8?, _ wanted: Bool, _ client: ClientStream) async
        -> Step
    {
        var reader = DescriptorReader(descriptor)
        do {
            while let bytes = try await reader.next() {
                guard wanted else { continue }
                if let frame {
                    try await client.write(OutputFrame.head(frame, length: bytes.readableBytes), bytes)
                } else {
                    try await client.write(bytes, nil)
                }
            }
            return .outputEnded
        } catch {
            // The client does not read any more, or the relay is over.
            return .left
        }
    }

    private func feed(_ client: ClientStream) async -> Step {
        guard let read = client.read else { return .inputEnded }
        let writer = streams.input.map { DescriptorWriter($0) }
        var scanner = DetachScanner(keys: hasTerminal ? detachKeys : [])
        do {
            while let bytes = try await read() {
                let (passed, detached) = scanner.scan(bytes)
                if let writer, passed.readableBytes > 0, try await !writer.write(passed) { break }
                if detached { return .detached }
            }
        } catch {
            return .left
        }
        // With a terminal there is no end of input but the one that is typed.
        if !hasTerminal { streams.input?.close() }
        return .inputEnded
    }

    /// Returns when the connection is gone, or on cancellation.
    static func wait(for closing: EventLoopFuture<Void>) async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        closing.whenComplete { _ in continuation.finish() }
        for await _ in stream {}
    }
}

/// Looks for the keys that detach in what a client types. Keys that only began the sequence are passed on late.
struct DetachScanner {
    let keys: [UInt8]
    private var matched = 0

    init(keys: [UInt8]) { self.keys = keys }

    /// What is for the process, and whether the sequence was complete.
    mutating func scan(_ bytes: ByteBuffer) -> (passed: ByteBuffer, detached: Bool) {
        guard !keys.isEmpty else { return (bytes, false) }
        var passed = ByteBuffer()
        for byte in bytes.readableBytesView {
            if byte == keys[matched] {
                matched += 1
                if matched == keys.count { return (passed, true) }
                continue
            }
            passed.writeBytes(keys[..<matched])
            matched = 0
            if byte == keys[0] {
                matched = 1
                if keys.count == 1 { return (passed, true) }
            } else {
                passed.writeInteger(byte)
            }
        }
        return (passed, false)
    }

    /// `ctrl-p,ctrl-q` as bytes; nil for what is no sequence. Control characters are those below 32: `ctrl-a` to
    /// `ctrl-z`, and `ctrl-@`, `[`, `\`, `]`, `^`, `_`.
    static func parse(_ text: String) -> [UInt8]? {
        var keys: [UInt8] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            if word.utf8.count == 1, let byte = word.utf8.first {
                keys.append(byte)
            } else if word.lowercased().hasPrefix("ctrl-"), word.utf8.count == 6, let last = word.utf8.last {
                let upper = (97...122).contains(last) ? last - 32 : last
                guard (64...95).contains(upper) else { return nil }
                keys.append(upper - 64)
            } else {
                return nil
            }
        }
        return keys
    }
}

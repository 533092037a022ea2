/// One message between the host and the agent in a machine.
///
/// On the virtio-serial port it is 16 bytes of header and at most `maxPayload` bytes of payload:
/// the marker `ISL1`, kind, stream, two zero bytes, session and payload length (both 32 bits, little-endian).
public struct Frame: Sendable, Hashable {
    public static let marker: [UInt8] = [0x49, 0x53, 0x4c, 0x31]
    public static let headerSize = 16
    public static let maxPayload = 32768
    /// Bytes that a sender may have on the way in one stream before it is given more credit.
    public static let window = 65536

    public var kind: FrameKind
    /// 1 is output, 2 is error output; 0 where a frame is not about a stream.
    public var stream: UInt8
    /// Chosen by the host, never used twice on one connection; 0 is the machine's own first process and console.
    public var session: UInt32
    public var payload: [UInt8]

    public init(_ kind: FrameKind, session: UInt32 = 0, stream: UInt8 = 0, payload: [UInt8] = []) {
        self.kind = kind
        self.stream = stream
        self.session = session
        self.payload = payload
    }

    public var encoded: [UInt8] {
        var bytes = Frame.marker
        bytes.reserveCapacity(Frame.headerSize + payload.count)
        bytes.append(kind.rawValue)
        bytes.append(stream)
        bytes.append(0)
        bytes.append(0)
        bytes.append(number: session)
        bytes.append(number: UInt32(payload.count))
        bytes.append(contentsOf: payload)
        return bytes
    }

    /// A frame whose payload is a list of numbers.
    public init(_ kind: FrameKind, session: UInt32 = 0, stream: UInt8 = 0, numbers: [UInt32]) {
        var payload: [UInt8] = []
        for value in numbers { payload.append(number: value) }
        self.init(kind, session: session, stream: stream, payload: payload)
    }

    /// The payload read as exactly `count` numbers.
    public func numbers(_ count: Int) -> [UInt32]? {
        guard payload.count == 4 * count else { return nil }
        var reader = ByteReader(payload)
        var values: [UInt32] = []
        for _ in 0..<count {
            guard let value = reader.number() else { return nil }
            values.append(value)
        }
        return values
    }
}

/// What a frame says. Below 64 the host speaks, from 64 on the agent.
public enum FrameKind: UInt8, Sendable {
    /// Begins a connection: 16 bytes chosen by the host, which the answer repeats. Ends all sessions of an earlier one.
    case hello = 1
    /// Starts a process: an `ExecRequest`.
    case exec = 2
    /// Bytes for the standard input.
    case input = 3
    /// End of the standard input.
    case inputEnd = 4
    /// The host took bytes of a stream: their number is given back as credit.
    case outputCredit = 5
    /// A signal number for the process group.
    case signal = 6
    /// Columns, rows.
    case resize = 7
    /// The host's client is gone: the session's streams are closed.
    case drop = 8
    /// Asks for facts about the guest.
    case info = 9
    /// Ends the machine: 0 power off, 1 reboot.
    case shutdown = 10

    case helloAnswer = 64
    /// The process has been executed: its pid.
    case started = 65
    /// It has not: an `ExecFailure` number, then the reason as text.
    case failed = 66
    case output = 67
    case outputEnd = 68
    /// Exit code, signal.
    case exited = 69
    /// The process took bytes of its input: their number is given back as credit.
    case inputCredit = 70
    /// `key=value` lines.
    case infoAnswer = 71
    case shutdownAnswer = 72
}

/// Why a process could not be started.
public enum ExecFailure: UInt8, Sendable {
    case notFound = 1
    case cannotExecute = 2
    case malformed = 3
}

/// Finds frames in a stream of bytes. What is not a frame is skipped up to the next marker, so that both sides find
/// each other again after one of them was replaced in the middle of a frame.
public struct FrameParser: Sendable {
    private var buffer: [UInt8] = []
    private var start = 0

    public init() {}

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if start > 0 && start == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            start = 0
        } else if start > 65536 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    public mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

    public mutating func reset() {
        buffer.removeAll()
        start = 0
    }

    /// The next whole frame; nil until more bytes come.
    public mutating func next() -> Frame? {
        while true {
            skipToMarker()
            guard buffer.count - start >= Frame.headerSize else { return nil }
            let session = number(at: start + 8)
            let length = Int(number(at: start + 12))
            guard let kind = FrameKind(rawValue: buffer[start + 4]), length <= Frame.maxPayload else {
                start += 1
                continue
            }
            guard buffer.count - start >= Frame.headerSize + length else { return nil }
            let body = start + Frame.headerSize
            let frame = Frame(
                kind, session: session, stream: buffer[start + 5], payload: [UInt8](buffer[body..<(body + length)]))
            start = body + length
            return frame
        }
    }

    private mutating func skipToMarker() {
        while start < buffer.count {
            var matched = 0
            while matched < 4 && start + matched < buffer.count && buffer[start + matched] == Frame.marker[matched] {
                matched += 1
            }
            if matched == 4 || start + matched == buffer.count { return }
            start += 1
        }
    }

    private func number(at position: Int) -> UInt32 {
        var value: UInt32 = 0
        for offset in 0..<4 { value |= UInt32(buffer[position + offset]) << UInt32(8 * offset) }
        return value
    }
}

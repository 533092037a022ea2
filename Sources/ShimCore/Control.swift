// The protocol of `<directory>/shim.sock` (SOCK_SEQPACKET): the client sends one packet, a request, and gets one
// packet, its reply. Each request has a connection of its own, so a slow one holds up no other. The connection of
// `exec` stays the session's: it takes `signal` requests (without a reply) and brings the exit as a second reply.
//
//     client: 06 00                            attach without input; descriptors [output, error]
//     shim:   05 00 01                         attached: no input, two streams

/// What a client asks of a shim.
public enum ShimRequest: Sendable, Equatable {
    /// Replies `state`.
    case hello
    /// Replies `done` with the network namespace's descriptor, `failed(.notFound)` if there is none of its own.
    case networkNamespace
    /// Runs the first process. Replies `started` once it is executed.
    case start
    /// Sends a signal to the first process, or to the session's process.
    case signal(Int32)
    case resize(columns: UInt16, rows: UInt16)
    /// Descriptors: `[input,] output, error`, the shim's ends of pipes. Replies `attached`.
    case attach(withInput: Bool)
    /// Descriptors: `[request, input (with openStdin), output, error]`, or with a terminal `[request]`; `request` is a memory file
    /// that holds a `ShimExec`. Replies `started`, with a terminal's master as descriptor, and later `exited`.
    case exec
    /// Replies `exited` when the first process has ended.
    case wait
    /// Kills everything; replies `done` when all is gone.
    case shutdown
    /// Opens the log anew, after somebody else renamed it.
    case reopenLog

    public func encoded() -> [UInt8] {
        var out = ByteWriter()
        switch self {
        case .hello: out.put(UInt8(1))
        case .networkNamespace: out.put(UInt8(2))
        case .start: out.put(UInt8(3))
        case .signal(let number):
            out.put(UInt8(4))
            out.put(number)
        case .resize(let columns, let rows):
            out.put(UInt8(5))
            out.put(columns)
            out.put(rows)
        case .attach(let withInput):
            out.put(UInt8(6))
            out.put(withInput)
        case .exec: out.put(UInt8(7))
        case .wait: out.put(UInt8(8))
        case .shutdown: out.put(UInt8(9))
        case .reopenLog: out.put(UInt8(10))
        }
        return out.bytes
    }

    public init(decoding bytes: [UInt8]) throws(DecodingFailure) {
        var input = ByteReader(bytes)
        switch try input.uint8() {
        case 1: self = .hello
        case 2: self = .networkNamespace
        case 3: self = .start
        case 4: self = .signal(try input.int32())
        case 5: self = .resize(columns: try input.uint16(), rows: try input.uint16())
        case 6: self = .attach(withInput: try input.bool())
        case 7: self = .exec
        case 8: self = .wait
        case 9: self = .shutdown
        case 10: self = .reopenLog
        default: throw DecodingFailure.malformed
        }
        try input.finish()
    }
}

/// What a shim answers.
public enum ShimReply: Sendable, Equatable {
    case done
    /// `pid` is 0 before the start.
    case state(shim: Int32, pid: Int32)
    case started(pid: Int32)
    case exited(ShimExit)
    case failed(ShimFailure)
    /// Whether input reaches the process, and whether standard error is apart from standard output.
    case attached(input: Bool, separateError: Bool)

    public func encoded() -> [UInt8] {
        var out = ByteWriter()
        switch self {
        case .done: out.put(UInt8(0))
        case .state(let shim, let pid):
            out.put(UInt8(1))
            out.put(shim)
            out.put(pid)
        case .started(let pid):
            out.put(UInt8(2))
            out.put(pid)
        case .exited(let exit):
            out.put(UInt8(3))
            out.put(exit.status)
            out.put(exit.outOfMemory)
            out.put(exit.seconds)
            out.put(exit.nanoseconds)
        case .failed(let failure):
            out.put(UInt8(4))
            out.put(failure.kind.rawValue)
            out.put(failure.number)
            out.put(failure.text)
        case .attached(let takesInput, let separate):
            out.put(UInt8(5))
            out.put(takesInput)
            out.put(separate)
        }
        return out.bytes
    }

    public init(decoding bytes: [UInt8]) throws(DecodingFailure) {
        var input = ByteReader(bytes)
        switch try input.uint8() {
        case 0: self = .done
        case 1: self = .state(shim: try input.int32(), pid: try input.int32())
        case 2: self = .started(pid: try input.int32())
        case 3:
            self = .exited(
                ShimExit(
                    status: try input.int32(), outOfMemory: try input.bool(), seconds: try input.int64(),
                    nanoseconds: try input.int64()))
        case 4:
            guard let kind = ShimFailure.Kind(rawValue: try input.uint8()) else { throw DecodingFailure.malformed }
            self = .failed(ShimFailure(kind, number: try input.int32(), try input.string()))
        case 5: self = .attached(input: try input.bool(), separateError: try input.bool())
        default: throw DecodingFailure.malformed
        }
        try input.finish()
    }
}

/// Why something did not work, in words for a person.
public struct ShimFailure: Error, Sendable, Equatable {
    public enum Kind: UInt8, Sendable {
        /// The request makes no sense.
        case invalid = 1
        /// A file or program is not there.
        case notFound = 2
        /// Not in this state.
        case conflict = 3
        /// Too many at once.
        case busy = 4
        /// A system call failed.
        case system = 5
        /// The runtime failed; the text is its own.
        case runtime = 6
        /// The program cannot be executed.
        case notExecutable = 7
    }

    public var kind: Kind
    /// The error number of the failed call, 0 if it was none.
    public var number: Int32
    public var text: String

    public init(_ kind: Kind, number: Int32 = 0, _ text: String) {
        self.kind = kind
        self.number = number
        self.text = text
    }
}

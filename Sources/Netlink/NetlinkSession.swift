import Glibc
import Model
import Synchronization

/// One request to the kernel: a message type, its flags and its body.
public struct NetlinkRequest: Sendable, Hashable {
    var type: UInt16
    var flags: UInt16
    var body: [UInt8]
    /// What is asked for, in words, for errors.
    public var summary: String
}

/// A message that the kernel sent.
struct NetlinkMessage: Sendable, Hashable {
    var type: UInt16
    var flags: UInt16
    var sequence: UInt32
    var body: ArraySlice<UInt8>
}

/// A conversation with the kernel over one transport. Calls block for as long as the kernel works on them (it holds
/// one lock for all links of the host, so that can be tens of milliseconds): not for the cooperative pool.
public final class NetlinkSession: Sendable {
    private let transport: any NetlinkTransport
    /// The last sequence number used; held for the whole of a call, which serialises calls.
    private let sequence = Mutex<UInt32>(0)

    public init(_ transport: any NetlinkTransport) { self.transport = transport }

    /// A session in the calling thread's network namespace.
    public convenience init() throws { self.init(try NetlinkSocket()) }

    /// Sends all requests in one datagram and waits until the kernel has answered each. The kernel works on them in
    /// order and goes on after a failure; the first failure is thrown.
    public func perform(_ requests: [NetlinkRequest]) throws {
        guard !requests.isEmpty else { return }
        try sequence.withLock { last in
            let first = last &+ 1
            var datagram: [UInt8] = []
            for request in requests {
                last &+= 1
                datagram += Self.encode(request, flags: MessageFlag.acknowledge, sequence: last)
            }
            try transport.send(datagram)
            var failures: [Int: NetlinkError] = [:]
            var answered = Set<Int>()
            while answered.count < requests.count {
                for message in try Self.decode(transport.receive()) where message.type == MessageType.error {
                    // An answer to an earlier call that was given up has another number.
                    let index = Int(message.sequence &- first)
                    guard requests.indices.contains(index) else { continue }
                    answered.insert(index)
                    failures[index] = Self.failure(in: message, of: requests[index])
                }
            }
            if let error = failures.min(by: { $0.key < $1.key })?.value { throw error }
        }
    }

    /// Sends one request that is answered by one message.
    func get(_ request: NetlinkRequest) throws -> NetlinkMessage {
        try sequence.withLock { last in
            last &+= 1
            try transport.send(Self.encode(request, flags: 0, sequence: last))
            while true {
                for message in try Self.decode(transport.receive()) where message.sequence == last {
                    if message.type != MessageType.error { return message }
                    if let error = Self.failure(in: message, of: request) { throw error }
                }
            }
        }
    }

    /// Everything the kernel lists for `request`. A list that changed while it was read is read again.
    func dump(_ request: NetlinkRequest) throws -> [NetlinkMessage] {
        for _ in 0..<10 {
            if let messages = try dumpOnce(request) { return messages }
        }
        throw NetlinkError(errno: EAGAIN, request: request.summary, explanation: "it keeps changing")
    }

    private func dumpOnce(_ request: NetlinkRequest) throws -> [NetlinkMessage]? {
        try sequence.withLock { last in
            last &+= 1
            try transport.send(Self.encode(request, flags: MessageFlag.dump, sequence: last))
            var found: [NetlinkMessage] = []
            var interrupted = false
            while true {
                for message in try Self.decode(transport.receive()) where message.sequence == last {
                    interrupted = interrupted || message.flags & MessageFlag.dumpInterrupted != 0
                    switch message.type {
                    case MessageType.done:
                        return interrupted ? nil : found
                    case MessageType.error:
                        if let error = Self.failure(in: message, of: request) { throw error }
                    default:
                        found.append(message)
                    }
                }
            }
        }
    }

    /// Header (length, type, flags, sequence, port) and body; the port is filled in by the kernel.
    static func encode(_ request: NetlinkRequest, flags: UInt16, sequence: UInt32) -> [UInt8] {
        var writer = MessageWriter()
        writer.append(UInt32(request.body.count + 16))
        writer.append(request.type)
        writer.append(request.flags | flags | MessageFlag.request)
        writer.append(sequence)
        writer.append(UInt32(0))
        var bytes = writer.bytes + request.body
        while bytes.count % 4 != 0 { bytes.append(0) }
        return bytes
    }

    static func decode(_ datagram: [UInt8]) throws -> [NetlinkMessage] {
        var reader = MessageReader(datagram[...])
        var found: [NetlinkMessage] = []
        while let length = reader.read(UInt32.self) {
            guard let type = reader.read(UInt16.self), let flags = reader.read(UInt16.self),
                let sequence = reader.read(UInt32.self), reader.read(UInt32.self) != nil, length >= 16,
                let body = reader.take(Int(length) - 16)
            else { throw NetlinkError(errno: EBADMSG, request: "understand the kernel's netlink answer") }
            found.append(NetlinkMessage(type: type, flags: flags, sequence: sequence, body: body))
            _ = reader.take((4 - Int(length) % 4) % 4)
        }
        return found
    }

    /// Nil for an acknowledgement.
    private static func failure(in message: NetlinkMessage, of request: NetlinkRequest) -> NetlinkError? {
        var reader = MessageReader(message.body)
        guard let code = reader.read(Int32.self) else {
            return NetlinkError(errno: EBADMSG, request: request.summary)
        }
        guard code != 0 else { return nil }
        var explanation: String?
        if message.flags & MessageFlag.attributes != 0, let length = reader.read(UInt32.self) {
            _ = reader.take(12)
            if message.flags & MessageFlag.capped == 0 { _ = reader.take(Int(length) - 16) }
            explanation = reader.attributes().string(1)
        }
        return NetlinkError(errno: -code, request: request.summary, explanation: explanation)
    }
}

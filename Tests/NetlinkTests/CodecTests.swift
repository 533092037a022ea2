import Model
import Synchronization
import Testing

@testable import Netlink

/// Answers from a script and records what was sent.
final class FakeTransport: NetlinkTransport {
    private let state: Mutex<(sent: [[UInt8]], answers: [[UInt8]])>

    init(_ answers: [[UInt8]]) { state = Mutex(([], answers)) }

    var sent: [[UInt8]] { state.withLock { $0.sent } }

    func send(_ datagram: [UInt8]) throws { state.withLock { $0.sent.append(datagram) } }

    func receive() throws -> [UInt8] {
        try state.withLock {
            guard !$0.answers.isEmpty else { throw NetlinkError(errno: 110, request: "read the script") }
            return $0.answers.removeFirst()
        }
    }
}

/// One message as the kernel would send it.
func message(_ type: UInt16, flags: UInt16 = 0, sequence: UInt32, _ body: [UInt8]) -> [UInt8] {
    var writer = MessageWriter()
    writer.append(UInt32(16 + body.count))
    writer.append(type)
    writer.append(flags)
    writer.append(sequence)
    writer.append(UInt32(77))
    var bytes = writer.bytes + body
    while bytes.count % 4 != 0 { bytes.append(0) }
    return bytes
}

func acknowledgement(_ sequence: UInt32, errno: Int32 = 0, text: String? = nil) -> [UInt8] {
    var writer = MessageWriter()
    writer.append(-errno)
    // The header of the refused request, without its body.
    for _ in 0..<4 { writer.append(UInt32(16)) }
    if let text { writer.attribute(1, string: text) }
    let flags = text == nil ? MessageFlag.capped : MessageFlag.capped | MessageFlag.attributes
    return message(MessageType.error, flags: flags, sequence: sequence, writer.bytes)
}

@Suite struct CodecTests {
    @Test func writesABridgeRequestAsTheKernelReadsIt() {
        let request = NetlinkRequest.makeBridge(LinkSettings(name: "br0", mtu: 1400, up: true))
        let bytes = NetlinkSession.encode(request, flags: MessageFlag.acknowledge, sequence: 9)
        let expected: [UInt8] =
            [68, 0, 0, 0, 16, 0, 0x05, 0x06, 9, 0, 0, 0, 0, 0, 0, 0]  // length, RTM_NEWLINK, flags, sequence
            + [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]  // ifinfomsg: IFF_UP
            + [8, 0, 3, 0, 0x62, 0x72, 0x30, 0]  // IFLA_IFNAME br0
            + [8, 0, 4, 0, 0x78, 0x05, 0, 0]  // IFLA_MTU 1400
            + [20, 0, 18, 0]  // IFLA_LINKINFO
            + [11, 0, 1, 0] + Array("bridge".utf8) + [0, 0]  // padded: IFLA_INFO_KIND
            + [4, 0, 2, 0]  // IFLA_INFO_DATA
        #expect(bytes == expected)
        var reader = MessageReader(bytes[32...])
        let attributes = reader.attributes()
        #expect(attributes.string(LinkAttribute.name) == "br0")
        #expect(attributes.number(LinkAttribute.mtu, as: UInt32.self) == 1400)
        #expect(attributes.nested(LinkAttribute.linkInfo)?.string(LinkAttribute.infoKind) == "bridge")
    }

    @Test func writesAnIPv6AddressWithoutDuplicateDetection() throws {
        let prefix = try #require(IPPrefix("fd42::5/64"))
        let body = NetlinkRequest.addAddress(prefix, to: 7).body
        #expect(Array(body[..<8]) == [10, 64, 2, 0, 7, 0, 0, 0])
        var reader = MessageReader(body[8...])
        let attributes = reader.attributes()
        #expect(attributes.bytes(AddressAttribute.local).map(Array.init) == prefix.address.bytes)
        #expect(attributes.number(AddressAttribute.flags, as: UInt32.self) == 2)
    }

    @Test func readsALinkWithNestedKindAndStatistics() throws {
        var writer = MessageWriter()
        writer.linkHeader(index: 5, flags: LinkFlag.up | LinkFlag.running)
        writer.attribute(LinkAttribute.name, string: "vethx")
        writer.attribute(LinkAttribute.address, [0, 0x16, 0x3e, 1, 2, 3])
        writer.attribute(LinkAttribute.master, number: 4)
        writer.attribute(LinkAttribute.alias, string: "isle:a")
        writer.nested(LinkAttribute.linkInfo | 0x8000) { $0.attribute(LinkAttribute.infoKind, string: "veth") }
        var counters = MessageWriter()
        for value: UInt64 in [1, 2, 300, 400, 5, 6, 7, 8] { counters.append(value) }
        writer.attribute(LinkAttribute.statistics64, counters.bytes)
        let bytes = message(MessageType.newLink, sequence: 1, writer.bytes)
        let link = try #require(try NetlinkSession.decode(bytes).first.flatMap { Link($0) })
        #expect(link.index == 5 && link.name == "vethx" && link.isUp && link.master == 4)
        #expect(link.kind == "veth" && link.alias == "isle:a" && link.mac?.description == "00:16:3e:01:02:03")
        #expect(link.statistics?.bytesReceived == 300 && link.statistics?.packetsSent == 2)
        #expect(link.statistics?.errorsSent == 6 && link.statistics?.droppedReceived == 7)
    }

    @Test(arguments: 0..<64) func aCutOffMessageIsAnErrorAndNeverATrap(_ length: Int) {
        var writer = MessageWriter()
        writer.linkHeader(index: 5)
        writer.attribute(LinkAttribute.name, string: "vethx")
        writer.nested(LinkAttribute.linkInfo) { $0.attribute(LinkAttribute.infoKind, string: "veth") }
        let bytes = message(MessageType.newLink, sequence: 1, writer.bytes)
        let cut = Array(bytes.prefix(length))
        let links = (try? NetlinkSession.decode(cut))?.compactMap { Link($0) } ?? []
        #expect(links.isEmpty || length >= bytes.count)
        // The same bytes as a body whose lengths lie.
        _ = Link(NetlinkMessage(type: MessageType.newLink, flags: 0, sequence: 1, body: cut[...]))
        _ = InterfaceAddress(NetlinkMessage(type: MessageType.newAddress, flags: 0, sequence: 1, body: cut[...]))
    }

    @Test func parsesHardwareAddresses() {
        #expect(MACAddress("00:16:3e:Ff:02:03")?.description == "00:16:3e:ff:02:03")
        for bad in [
            "", "00:16:3e:ff:02", "00:16:3e:ff:02:zz", "0:16:3e:ff:02:03", "00:16:3e:ff:02:03:", "+1:16:3e:1:1:1",
        ] {
            #expect(MACAddress(bad) == nil, "\(bad)")
        }
    }
}

@Suite struct SessionTests {
    let requests = [
        NetlinkRequest.makeBridge(LinkSettings(name: "br0")), .deleteLink(.name("old")), .deleteLink(.index(9)),
    ]

    @Test func sendsABatchInOneDatagramAndWaitsForEveryAnswer() throws {
        let transport = FakeTransport([acknowledgement(1) + acknowledgement(2), acknowledgement(3)])
        try NetlinkSession(transport).perform(requests)
        #expect(transport.sent.count == 1)
        #expect(try transport.sent.first.map { try NetlinkSession.decode($0).map(\.sequence) } == [1, 2, 3])
    }

    @Test func throwsTheFirstFailureWithTheKernelsWords() throws {
        let transport = FakeTransport([
            acknowledgement(1) + acknowledgement(2, errno: 19) + acknowledgement(3, errno: 1, text: "no"),
            acknowledgement(4, errno: 17, text: "name is taken"),
        ])
        let session = NetlinkSession(transport)
        let first = #expect(throws: NetlinkError.self) { try session.perform(requests) }
        #expect(first?.errno == 19 && first?.request == "delete link old" && first?.isNoSuchLink == true)
        let second = #expect(throws: NetlinkError.self) { try session.perform([requests[0]]) }
        #expect(second?.description == "cannot create bridge br0: File exists (name is taken)")
    }

    @Test func ignoresAnswersToOtherRequests() throws {
        let transport = FakeTransport([acknowledgement(900, errno: 1), acknowledgement(1)])
        try NetlinkSession(transport).perform([requests[0]])
    }

    @Test func aSilentKernelIsAnError() {
        #expect(throws: NetlinkError.self) { try NetlinkSession(FakeTransport([])).perform(requests) }
    }

    @Test func readsAnInterruptedListAgain() throws {
        var writer = MessageWriter()
        writer.linkHeader(index: 3)
        writer.attribute(LinkAttribute.name, string: "a")
        let done: [UInt8] = [0, 0, 0, 0]
        let transport = FakeTransport([
            message(MessageType.newLink, flags: MessageFlag.dumpInterrupted, sequence: 1, writer.bytes),
            message(MessageType.done, sequence: 1, done),
            message(MessageType.newLink, sequence: 2, writer.bytes) + message(MessageType.done, sequence: 2, done),
        ])
        #expect(try NetlinkSession(transport).links().map(\.name) == ["a"])
        #expect(transport.sent.count == 2)
    }

    @Test func aMissingLinkIsNil() throws {
        let transport = FakeTransport([acknowledgement(1, errno: 19)])
        #expect(try NetlinkSession(transport).link(named: "no") == nil)
    }
}

import Testing

@testable import GuestCore

struct TextTests {
    @Test(arguments: [
        ("::", [UInt8](repeating: 0, count: 16)), ("::1", [UInt8](repeating: 0, count: 15) + [1]),
        ("fd42::", [0xfd, 0x42] + [UInt8](repeating: 0, count: 14)),
        ("fd42:1:2::a:B", [0xfd, 0x42, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xa, 0, 0xb]),
        ("1:2:3:4:5:6:7:8", [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]),
    ])
    func readsIPv6(_ text: String, _ bytes: [UInt8]) {
        #expect(parseIPv6(text) == bytes)
    }

    @Test(arguments: ["", ":", "1", "1:2", ":1::", "1::2::3", "12345::", "g::", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7"])
    func refusesOtherIPv6(_ text: String) {
        #expect(parseIPv6(text) == nil)
    }

    @Test func readsIPv4() {
        #expect(parseIPv4("10.0.2.255") == [10, 0, 2, 255])
        for text in ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.x", "1..2.3"] { #expect(parseIPv4(text) == nil) }
    }

    @Test func readsNumbers() {
        #expect(number("4294967295") == .max)
        #expect(number("4294967296") == nil)
        #expect(number("99999999999999999999999999") == nil)
        #expect(number("") == nil && number("-1") == nil && number("1 ") == nil)
        #expect(decimal(0) == "0" && decimal(1050) == "1050")
    }

    private let passwd = Array(
        "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/var/www:/bin/sh\n1000:x:5:5::/odd:\n".utf8)
    private let group = Array("root:x:0:\nwww:x:33:\ndocker:x:99:other,web\nadm:x:4:web\n".utf8)

    @Test func findsUsers() {
        let root = resolveUser("", passwd: passwd, group: group)
        #expect(root == Identity(uid: 0, gid: 0, groups: [], home: "/root", name: "root"))
        let web = resolveUser("web", passwd: passwd, group: group)
        #expect(web == Identity(uid: 33, gid: 33, groups: [99, 4], home: "/var/www", name: "web"))
        #expect(resolveUser("33", passwd: passwd, group: group) == web)
        #expect(resolveUser("web:docker", passwd: passwd, group: group)?.gid == 99)
        #expect(resolveUser("web:docker", passwd: passwd, group: group)?.groups == [])
        #expect(resolveUser("77:88", passwd: passwd, group: group)?.gid == 88)
        #expect(resolveUser("77", passwd: [], group: [])?.uid == 77)
        #expect(resolveUser("1000", passwd: passwd, group: group)?.uid == 5, "a name wins over a number")
    }

    @Test(arguments: ["nobody", "web:nogroup", "-1", "4294967296"])
    func refusesUnknownUsers(_ text: String) {
        #expect(resolveUser(text, passwd: passwd, group: group) == nil)
    }
}

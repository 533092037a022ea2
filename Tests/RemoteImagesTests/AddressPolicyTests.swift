import Model
import Testing

@testable import RemoteImages

@Suite struct AddressPolicyTests {
    @Test(
        "addresses that only this host can reach are refused",
        arguments: [
            "127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255", "::1", "::",
            "fe80::1",
            "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "nothing",
        ])
    func local(_ address: String) {
        #expect(!AddressPolicy(allowsLocal: false).allows(address))
    }

    @Test(arguments: ["192.0.2.1", "10.1.2.3", "2001:db8::1", "::ffff:192.0.2.1"])
    func others(_ address: String) {
        #expect(AddressPolicy(allowsLocal: false).allows(address))
    }

    @Test("names and numbers that mean such an address are refused, too", arguments: ["localhost", "127.1", "0x7f.1"])
    func names(_ name: String) async {
        await #expect {
            _ = try await AddressPolicy(allowsLocal: false).address(of: name)
        } throws: { ($0 as? EngineError)?.code == .permissionDenied }
    }

    @Test(
        "only web addresses without user names are fetched from",
        arguments: [
            "file:///etc/passwd", "ftp://h/x", "https://", "https://u:p@h/", "https://h/ x", "gopher://h", "h/x", "",
        ])
    func schemes(_ text: String) {
        #expect { _ = try WebFetcher.parse(text) } throws: { ($0 as? EngineError)?.code == .invalidArgument }
    }

    @Test("a digest from a server is a digest", arguments: ["", "../../etc", String(repeating: "A", count: 64)])
    func digests(_ text: String) {
        #expect { _ = try SimpleStreams.checkedDigest(text) } throws: { ($0 as? EngineError)?.code == .unavailable }
    }
}

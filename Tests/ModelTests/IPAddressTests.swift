import Testing

@testable import Model

@Suite struct IPAddressTests {
    @Test func parsesAndPrintsBothFamilies() {
        for text in ["0.0.0.0", "10.104.0.1", "255.255.255.255", "::", "::1", "fd42::5", "fe80::1", "2001:db8:0:1::"] {
            #expect(IPAddress(text)?.description == text)
        }
        #expect(IPAddress("FD42:0:0:0::0005")?.description == "fd42::5")
        for bad in [
            "", "10.0.0", "10.0.0.256", "10.0.0.1/24", "fd42:::1", "localhost", "1.2.3.4\n", " ::1", "fe80::1%eth0",
        ] {
            #expect(IPAddress(bad) == nil, "\(bad)")
        }
        #expect(IPAddress(bytes: [1, 2, 3]) == nil)
    }

    @Test func knowsSpecialAddresses() {
        #expect(IPAddress("127.8.9.1")?.isLoopback == true && IPAddress("::1")?.isLoopback == true)
        #expect(IPAddress("128.0.0.1")?.isLoopback == false && IPAddress("::2")?.isLoopback == false)
        #expect(IPAddress("0.0.0.0")?.isUnspecified == true && IPAddress("::")?.isUnspecified == true)
        #expect(IPAddress("febf::1")?.isLinkLocal == true && IPAddress("fec0::1")?.isLinkLocal == false)
    }

    @Test func parsesPrefixes() {
        #expect(IPPrefix("10.1.2.3/24")?.network.description == "10.1.2.0")
        #expect(IPPrefix("10.1.2.3/0")?.network.description == "0.0.0.0")
        #expect(IPPrefix("10.255.2.3/9")?.network.description == "10.128.0.0")
        #expect(IPPrefix("fd42::5/64")?.description == "fd42::5/64")
        for bad in [
            "10.1.2.3", "10.1.2.3/33", "10.1.2.3/-1", "10.1.2.3/+8", "fd42::/129", "/24", "10.1.2.3/24/8", "::/",
        ] {
            #expect(IPPrefix(bad) == nil, "\(bad)")
        }
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.77.0.1/24", true), ("10.77.0.0/25", "10.77.0.128/25", false),
        ("10.77.0.1/32", "10.77.0.0/31", true), ("0.0.0.0/0", "fd00::/8", false), ("fd00::/8", "fd42::1/64", true),
    ])
    func overlapIsSymmetric(_ first: String, _ second: String, _ expected: Bool) throws {
        let a = try #require(IPPrefix(first))
        let b = try #require(IPPrefix(second))
        #expect(a.overlaps(b) == expected && b.overlaps(a) == expected)
    }

    @Test func containsOnlyItsOwnFamily() throws {
        let prefix = try #require(IPPrefix("0.0.0.0/0"))
        #expect(prefix.contains(try #require(IPAddress("1.2.3.4"))))
        #expect(!prefix.contains(try #require(IPAddress("::1"))))
    }
}

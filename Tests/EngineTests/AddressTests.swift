import Model
import Testing

@testable import Engine

@Suite struct AddressTests {
    private func nic(ipv4: String? = nil, ipv6: String? = nil, mac: String? = nil) -> Devices.Nic {
        Devices.Nic(device: "eth0", interface: "eth0", network: "n", mac: mac, ipv4: ipv4, ipv6: ipv6)
    }

    private func taken(_ ipv4: String?, ipv6: String? = nil) -> AddressReservation {
        AddressReservation(
            instance: .random(), device: "eth0", network: "n", mac: "00:16:3e:00:00:01", ipv4: ipv4, ipv6: ipv6)
    }

    private func choose(
        _ nic: Devices.Nic, ipv4: String? = "10.0.0.1/29", ipv6: String? = nil, previous: AddressReservation? = nil,
        taken: [AddressReservation] = []
    ) throws -> AddressReservation {
        try AddressChooser.choose(
            instance: .random(), nic: nic, network: NetworkSubnets(ipv4: ipv4, ipv6: ipv6), previous: previous,
            taken: taken)
    }

    @Test func subnetsAreTheGatewayWithItsPrefixLength() {
        for text in ["10.0.0.1/24", "10.0.0.1/8", "192.168.1.254/30"] { #expect(IPv4Subnet(text) != nil, "\(text)") }
        for text in ["10.0.0.1", "10.0.0.1/7", "10.0.0.1/31", "10.0.0.1/-24", "10.0.0/24", "10.0.0.1/24/1", "::1/64"] {
            #expect(IPv4Subnet(text) == nil, "\(text)")
        }
        #expect(IPv4Subnet("10.0.0.1/24")?.contains(IPv4Address(value: 0x0a00_00ff)) == true)
        #expect(IPv4Subnet("10.0.0.1/24")?.contains(IPv4Address(value: 0x0a00_01ff)) == false)
    }

    @Test func rangesBoundWhatIsChosen() throws {
        let network = NetworkSubnets(
            ipv4: "10.0.0.1/24", ipv6: nil, ranges: ["10.0.0.9-10.0.0.9", "10.0.0.254-10.0.0.255"])
        func choose(_ taken: [AddressReservation], previous: AddressReservation? = nil) throws -> String? {
            try AddressChooser.choose(
                instance: .random(), nic: nic(), network: network, previous: previous, taken: taken
            ).ipv4
        }
        #expect(try choose([]) == "10.0.0.9")
        #expect(try choose([taken("10.0.0.9")]) == "10.0.0.254")
        #expect(throws: EngineError.self) { try choose([taken("10.0.0.9"), taken("10.0.0.254")]) }
        // One from before the ranges is given up.
        #expect(try choose([], previous: taken("10.0.0.5")) == "10.0.0.9")
        #expect(try choose([], previous: taken("10.0.0.254")) == "10.0.0.254")
        try NetworkSubnets.check(["10.0.0.2-10.0.0.9"], in: "10.0.0.1/24")
        for bad in ["10.0.0.9", "10.0.0.9-10.0.0.2", "10.0.1.1-10.0.1.2", "a-b", "10.0.0.1-10.0.0.2-10.0.0.3"] {
            #expect(throws: EngineError.self, "\(bad)") { try NetworkSubnets.check([bad], in: "10.0.0.1/24") }
        }
    }

    @Test func theFirstFreeAddressIsChosenUntilThereIsNone() throws {
        var all: [AddressReservation] = []
        for expected in 2...6 {
            let chosen = try choose(nic(), taken: all)
            #expect(chosen.ipv4 == "10.0.0.\(expected)")
            all.append(chosen)
        }
        let error = #expect(throws: EngineError.self) { try choose(nic(), taken: all) }
        #expect(error?.code == .resourceExhausted)
    }

    @Test func theGatewayMayStandAnywhere() throws {
        #expect(try choose(nic(), ipv4: "10.0.0.6/29").ipv4 == "10.0.0.1")
    }

    @Test func anAddressIsKeptWhileItIsRight() throws {
        #expect(try choose(nic(), previous: taken("10.0.0.5")).ipv4 == "10.0.0.5")
        #expect(try choose(nic(), previous: taken("10.0.0.5"), taken: [taken("10.0.0.5")]).ipv4 == "10.0.0.2")
        #expect(try choose(nic(), previous: taken("10.9.0.5")).ipv4 == "10.0.0.2")
        #expect(try choose(nic(), previous: taken("10.0.0.5")).mac == "00:16:3e:00:00:01")
    }

    @Test(arguments: ["10.0.0.0", "10.0.0.1", "10.0.0.7", "10.0.0.8", "10.1.0.2"])
    func addressesThatNoInstanceCanHave(text: String) {
        let error = #expect(throws: EngineError.self) { try choose(nic(ipv4: text)) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains(text) == true)
    }

    @Test func aWantedAddressOfAnotherIsAConflictHoweverItIsWritten() throws {
        for text in ["10.0.0.5", "10.0.0.05"] {
            let error = #expect(throws: EngineError.self) { try choose(nic(ipv4: text), taken: [taken("10.0.0.5")]) }
            #expect(error?.code == .conflict)
        }
        #expect(try choose(nic(ipv4: "10.0.0.04")).ipv4 == "10.0.0.4")
    }

    @Test func version6FollowsTheMAC() throws {
        let chosen = try choose(nic(mac: "00:16:3E:AA:0B:01"), ipv6: "fd42:1:2:3::1/64")
        #expect(chosen.mac == "00:16:3e:aa:0b:01")
        #expect(chosen.ipv6 == "fd42:1:2:3:216:3eff:feaa:b01")
        #expect(try choose(nic(), ipv4: nil, ipv6: "fd42::1/64").ipv4 == nil)
        #expect(try choose(nic(mac: "00:16:3e:00:00:01"), ipv6: "fd42::1/64").ipv6 == "fd42::216:3eff:fe00:1")
    }

    @Test func wantedVersion6AddressesAreChecked() throws {
        #expect(try choose(nic(ipv6: "FD42:0::9"), ipv6: "fd42::1/64").ipv6 == "fd42::9")
        #expect(throws: EngineError.self) { try choose(nic(ipv6: "fd43::9"), ipv6: "fd42::1/64") }
        let error = #expect(throws: EngineError.self) {
            try choose(nic(ipv6: "fd42:0::9"), ipv6: "fd42::1/64", taken: [taken(nil, ipv6: "fd42::9")])
        }
        #expect(error?.code == .conflict)
    }

    @Test func withoutSubnetsThereAreNoAddresses() throws {
        let chosen = try choose(nic(), ipv4: nil)
        #expect(chosen.ipv4 == nil && chosen.ipv6 == nil)
        #expect(chosen.mac.hasPrefix("00:16:3e:") && chosen.mac.utf8.count == 17)
    }
}

import Model
import Testing

@testable import DockerDoor

@Suite struct AddressPoolTests {
    private func ranges(_ pool: JSON, _ subnet: String = "10.9.0.0/24") throws -> [String] {
        try AddressPool(Fields(pool), subnet: #require(IPPrefix(subnet))).ranges
    }

    @Test func rangesAndReservedAddresses() throws {
        #expect(try ranges([:]) == [])
        #expect(try ranges(["IPRange": ""]) == [])
        #expect(try ranges(["IPRange": "10.9.0.128/25"]) == ["10.9.0.128-10.9.0.254"])
        #expect(try ranges(["IPRange": "10.9.0.0/24"]) == ["10.9.0.1-10.9.0.254"])
        #expect(
            try ranges(["AuxiliaryAddresses": ["a": "10.9.0.1", "b": "10.9.0.7"]]) == [
                "10.9.0.2-10.9.0.6", "10.9.0.8-10.9.0.254",
            ])
        #expect(
            try ranges([
                "IPRange": "10.9.0.8/30", "AuxiliaryAddresses": ["x": "10.9.0.8", "y": "10.9.0.11", "z": "10.9.0.77"],
            ])
                == ["10.9.0.9-10.9.0.10"])
        #expect(try ranges(["IPRange": "0.0.0.0/0"], "0.0.0.0/0") == ["0.0.0.1-255.255.255.254"])
    }

    @Test(
        arguments: [
            ["IPRange": "10.8.0.0/25"], ["IPRange": "10.9.0.0/16"], ["IPRange": "x"],
            ["AuxiliaryAddresses": ["a": "10.8.0.1"]], ["AuxiliaryAddresses": ["a": "nonsense"]],
            ["IPRange": "10.9.0.4/32", "AuxiliaryAddresses": ["a": "10.9.0.4"]],
        ] as [JSON])
    func whatIsNotOfTheSubnetIsRefused(_ pool: JSON) throws {
        let error = #expect(throws: EngineError.self) { try ranges(pool) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func whatWasAskedForIsKept() throws {
        let subnet = try #require(IPPrefix("10.9.0.1/24"))
        let pool: JSON = ["Subnet": "10.9.0.0/24", "IPRange": "10.9.0.8/30", "AuxiliaryAddresses": ["x": "10.9.0.9"]]
        #expect(
            try AddressPool(Fields(pool), subnet: subnet).asked.text
                == #"{"IPRange":"10.9.0.8/30","AuxiliaryAddresses":{"x":"10.9.0.9"}}"#)
        #expect(try AddressPool(Fields(["IPRange": ""]), subnet: subnet).asked.members.isEmpty)
    }

    @Test func aLinkGoesWithItsVariables() {
        let config = [
            "oci.hosts": "db=10.0.0.2,mine=10.0.0.2,other=10.0.0.20", "environment.DB_PORT": "x",
            "environment.DB_NAME": "y",
            "environment.DB_ENV_A": "z", "environment.DB_HOST": "own", "environment.DBX_PORT": "w",
        ]
        #expect(
            LinkRoutes.changes(config, alias: "db") == [
                "oci.hosts": "other=10.0.0.20", "environment.DB_PORT": "", "environment.DB_NAME": "",
                "environment.DB_ENV_A": "",
            ])
        #expect(LinkRoutes.changes(config, alias: "d") == nil)
    }

    @Test func theRegistryOfASearch() {
        #expect(SearchRoutes.split("busybox") == ("docker.io", "busybox"))
        #expect(SearchRoutes.split("team/box") == ("docker.io", "team/box"))
        #expect(SearchRoutes.split("localhost:5000/box") == ("localhost:5000", "box"))
        #expect(SearchRoutes.split("quay.io/a/b") == ("quay.io", "a/b"))
    }
}

import DriverKit
import Model
import Testing

@testable import ContainerDriver

@Suite struct OptionSpecTests {
    @Test func limitsKeepThatOfOpenFiles() throws {
        var options = ContainerOptions()
        options.limits = ["nproc": KernelLimit(soft: 1, hard: .max)]
        let limits = try SpecOptions.limits(options, maximumOpenFiles: 2048)
        #expect(limits.map(\.type) == ["RLIMIT_NOFILE", "RLIMIT_NPROC"])
        #expect(limits[0].soft == 1024 && limits[0].hard == 2048)
        options.limits["nofile"] = KernelLimit(soft: 1, hard: 4096)
        #expect(throws: EngineError.self) { try SpecOptions.limits(options, maximumOpenFiles: 2048) }
    }

    @Test func resolverSettingsGoOverTheNetworks() {
        var files = NetworkFiles(
            hostname: "a\n", hosts: "127.0.0.1\tlocalhost\n", resolvConf: "search isle\nnameserver 10.0.0.1\n")
        var options = ContainerOptions()
        files.apply(options)
        #expect(files.resolvConf == "search isle\nnameserver 10.0.0.1\n")
        options.hosts = [HostEntry(name: "db", address: "::1")]
        options.nameServers = ["1.1.1.1"]
        options.searchDomains = ["."]
        options.resolverOptions = ["rotate"]
        files.apply(options)
        #expect(files.hosts == "127.0.0.1\tlocalhost\n::1\tdb\n")
        #expect(files.resolvConf == "nameserver 1.1.1.1\noptions rotate\n")
    }
}

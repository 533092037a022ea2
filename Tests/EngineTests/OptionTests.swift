import Model
import Testing

@testable import Engine

@Suite struct OptionTests {
    @Test func unknownKeysAreNamed() throws {
        let error = #expect(throws: EngineError.self) {
            try OptionCatalog.check(["limits.memmory": "1"], kind: .application)
        }
        #expect(error?.message.contains("'limits.memmory'") == true)
        #expect(error?.hint?.contains("limits.memory") == true)
        for key in ["", "user.", "limits", "user", "LIMITS.CPU", "environment."] {
            #expect(throws: EngineError.self, "\(key)") { try OptionCatalog.check([key: "1"], kind: nil) }
        }
    }

    @Test func keysOfOtherKindsAreRefused() throws {
        let error = #expect(throws: EngineError.self) {
            try OptionCatalog.check(["security.privileged": "true"], kind: .machine)
        }
        #expect(error?.message.contains("'security.privileged'") == true)
        #expect(error?.message.contains("machine") == true)
        #expect(error?.hint?.contains("application, system") == true)
        try OptionCatalog.check(["security.privileged": "true"], kind: nil)
        #expect(throws: EngineError.self) { try OptionCatalog.check(["module.fuel": "1"], kind: .system) }
    }

    @Test func volatileKeysAreOurs() throws {
        #expect(throws: EngineError.self) { try OptionCatalog.check(["volatile.x": "1"], kind: .system) }
        try OptionCatalog.check(["volatile.x": "1"], kind: .system, trusted: true)
    }

    @Test(arguments: [
        ("limits.cpu", "2"), ("limits.cpu", "0-1,3"), ("limits.cpu", "4096"), ("limits.cpu.allowance", "50%"),
        ("limits.cpu.allowance", "25ms/100ms"), ("limits.memory", "512MiB"), ("limits.memory", "100%"),
        ("limits.memory", "1m"), ("limits.processes", "1"), ("boot.autostart", "Yes"), ("restart.policy", "always"),
        ("boot.autostart.priority", "-5"), ("stop.signal", "SIGRTMIN+3"), ("stop.signal", "64"),
        ("stop.timeout", "0.5"), ("oci.cmd", #"["a", "b c"]"#), ("oci.entrypoint", "a 'b c'"), ("oci.cwd", "/"),
        ("security.capabilities.add", "CAP_NET_ADMIN,sys_ptrace"), ("security.seccomp", "unconfined"),
        ("logs.max_size", "4096"), ("logs.files", "100"), ("environment.A", ""), ("user.any", "thing"),
    ])
    func goodValues(key: String, value: String) throws {
        try OptionCatalog.check([key: value], kind: .application)
    }

    @Test(arguments: [
        ("limits.cpu", ["0", "-1", "4097", "1-", "3-1", "a", "", "0,,1", "9223372036854775808"]),
        ("limits.cpu.allowance", ["0%", "101%", "-5%", "0ms/100ms", "25ms/0ms", "25ms/1001ms", "25ms", "25/100", ""]),
        (
            "limits.memory",
            ["0", "-1", "1023KiB", "101%", "0%", "9223372036854775808", "8388608TiB", "x", "", "1.5GiB"]
        ),
        ("limits.processes", ["0", "-1", "4194305", "9223372036854775808", "x", ""]),
        ("boot.autostart", ["maybe", "2"]),
        ("boot.autostart.priority", ["high", "9223372036854775808"]),
        ("restart.policy", ["sometimes", "on-failure:-1"]),
        ("stop.signal", ["0", "65", "-9", "NOPE", "RTMIN+31", ""]),
        ("stop.timeout", ["-1", "nan", "inf", "31536001", "x", ""]),
        ("oci.cmd", ["'open", "[1]", "[\"a\"", "a\\"]),
        ("oci.cwd", ["relative", ""]),
        ("oci.runtime", ["-x", "a b", ""]),
        ("hostname", ["", "a b", String(repeating: "a", count: 65)]),
        ("security.capabilities.add", ["CAP-X", "1 2"]),
        ("security.seccomp", ["strange"]),
        ("logs.max_size", ["4095", "-1"]),
        ("logs.files", ["0", "101", "-1"]),
        ("environment.A", ["a\0b"]),
    ])
    func badValues(key: String, values: [String]) throws {
        for value in values {
            let error = #expect(throws: EngineError.self, "\(value)") {
                try OptionCatalog.check([key: value], kind: .application)
            }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains(key) == true)
        }
    }

    @Test(arguments: [("module.fuel", ["0", "-1", "x"]), ("module.timeout", ["-1", "0", "0.0001", "x"])])
    func badValuesOfModules(key: String, values: [String]) throws {
        for value in values {
            #expect(throws: EngineError.self, "\(value)") { try OptionCatalog.check([key: value], kind: .module) }
        }
    }
}

@Suite struct UnitsTests {
    @Test func bitRates() {
        let good: [(String, Int64)] = [
            ("0", 0), ("1000", 1000), ("8bit", 8), ("100kbit", 100_000), ("100Mbit", 100_000_000),
            ("1Gbit", 1_000_000_000), ("1Kibit", 1024), ("2Mibit", 2 << 20),
        ]
        for (text, value) in good { #expect(Units.bitRate(text) == value, "\(text)") }
        for text in [
            "", "Mbit", "-1", "1.5Mbit", "100mbit", "100MB", "1 Mbit", "9223372036854775807kbit", "99999999Tbit",
        ] {
            #expect(Units.bitRate(text) == nil, "\(text)")
        }
    }

    @Test func bytes() {
        let good: [(String, Int64)] = [
            ("0", 0), ("1", 1), ("10b", 10), ("1kB", 1000), ("1k", 1024), ("1KiB", 1024), ("2MB", 2_000_000),
            ("512MiB", 512 << 20), ("1g", 1 << 30), ("3TB", 3_000_000_000_000), ("1t", 1 << 40),
            ("9223372036854775807", .max),
        ]
        for (text, value) in good { #expect(Units.bytes(text) == value, "\(text)") }
        for text in ["", "-1", "+1", "1.5g", "g", "1 g", "1x", "9223372036854775808", "9007199254740992k", "٣"] {
            #expect(Units.bytes(text) == nil, "\(text)")
        }
    }

    @Test func flags() {
        for text in ["true", "TRUE", "1", "yes", "On"] { #expect(Units.bool(text) == true, "\(text)") }
        for text in ["false", "0", "No", "off", ""] { #expect(Units.bool(text) == false, "\(text)") }
        for text in ["2", "truth", " true"] { #expect(Units.bool(text) == nil, "\(text)") }
    }

    @Test func words() {
        #expect(CommandWords.split("a b  c\t\n") == ["a", "b", "c"])
        #expect(CommandWords.split(#"'a b' "c d" e\ f"#) == ["a b", "c d", "e f"])
        #expect(CommandWords.split(#"'' "" "#) == ["", ""])
        #expect(CommandWords.split(#"'a\b' "\"""#) == [#"a\b"#, "\""])
        #expect(CommandWords.split("") == [])
        #expect(CommandWords.split("'a") == nil)
        #expect(CommandWords.split("a\\") == nil)
    }

    @Test func quotas() {
        #expect(Units.quota("25ms/100ms") == Limits.CPUQuota(quota: 25_000, period: 100_000))
        for text in ["25ms/100", "-1ms/100ms", "1ms/1001ms", "1ms/0ms", "1ms/1ms/1ms", "9223372036854775807ms/1ms"] {
            #expect(Units.quota(text) == nil, "\(text)")
        }
    }

    @Test func limitsOfAConfiguration() throws {
        let record = InstanceRecord(
            id: .random(), name: "web", kind: .application, architecture: "x86_64",
            config: ["limits.memory": "50%", "limits.cpu": "2", "limits.cpu.allowance": "30%"], createdAt: 0)
        let profile = ProfileRecord(name: "p", config: ["limits.cpu": "0-1", "limits.processes": "9"])
        let merged = MergedConfig(record, profiles: [profile])
        let limits = try merged.limits(hostMemory: 1000)
        #expect(limits == Limits(cpuCount: 2, cpuSharePercent: 30, memory: 500, processes: 9))
        #expect(try MergedConfig(record, profiles: []).limits(hostMemory: 1000).processes == nil)
    }

    @Test func capabilitiesGetTheirPrefix() {
        let record = InstanceRecord(
            id: .random(), name: "web", kind: .application, architecture: "x86_64",
            config: ["security.capabilities.add": "net_admin,CAP_SYS_TIME", "security.capabilities.drop": "all"],
            createdAt: 0)
        let security = MergedConfig(record, profiles: []).security
        #expect(security.add == ["CAP_NET_ADMIN", "CAP_SYS_TIME"])
        #expect(security.drop == ["ALL"])
    }

    @Test func processesOfAMachineAreItsOwnKernelsBusiness() throws {
        let error = #expect(throws: EngineError.self) {
            try OptionCatalog.check(["limits.processes": "5"], kind: .machine)
        }
        #expect(error?.message.contains("'limits.processes' does not apply to the kind machine") == true)
        #expect(error?.hint?.contains("application") == true)
        try OptionCatalog.check(["limits.cpu.allowance": "50ms/100ms"], kind: .machine)
    }
}

import Model
import Testing

@testable import Engine

@Suite struct ProjectPolicyTests {
    private func policy(_ config: [String: String]) -> ProjectPolicy {
        ProjectPolicy(project: ProjectRecord(name: "lab", config: config), hostMemory: 1 << 30)
    }

    private func subject(
        _ config: [String: String] = [:], devices: [String: [String: String]] = [:], kind: InstanceKind = .system
    ) -> ProjectPolicy.Subject {
        ProjectPolicy.Subject(name: "web", kind: kind, config: config, devices: devices)
    }

    private func code(_ body: () throws -> Void) -> EngineError.Code? {
        do { try body() } catch { return (error as? EngineError)?.code }
        return nil
    }

    @Test func anOpenProjectAllowsEverything() throws {
        #expect(policy([:]).isEmpty)
        try policy(["user.x": "y"]).check(subject(["security.privileged": "true"]), among: [])
    }

    @Test func countsAreBounded() {
        let policy = policy(["limits.instances": "1"])
        #expect(code { try policy.check(subject(), among: []) } == nil)
        #expect(code { try policy.check(subject(), among: [subject()]) } == .resourceExhausted)
    }

    @Test func machinesAndContainersCountApart() {
        let policy = policy(["limits.virtual-machines": "0", "limits.containers": "5"])
        #expect(code { try policy.check(subject(kind: .machine), among: []) } == .resourceExhausted)
        #expect(code { try policy.check(subject(kind: .module), among: []) } == nil)
    }

    @Test func sumsNeedAValueOfEach() {
        let policy = policy(["limits.memory": "512MiB"])
        #expect(code { try policy.check(subject(), among: []) } == .invalidArgument)
        #expect(code { try policy.check(subject(["limits.memory": "256MiB"]), among: []) } == nil)
        let other = subject(["limits.memory": "50%"])
        #expect(code { try policy.check(subject(["limits.memory": "256MiB"]), among: [other]) } == .resourceExhausted)
    }

    @Test func sumsDoNotOverflow() {
        let policy = policy(["limits.memory": "1GiB"])
        let huge = subject(["limits.memory": "9223372036854775807"])
        #expect(code { try policy.check(huge, among: [huge]) } == .resourceExhausted)
    }

    @Test(arguments: [
        ("security.privileged", "true"), ("security.nesting", "yes"), ("raw.lxc", "x"),
        ("security.capabilities.add", "CAP_SYS_ADMIN"), ("security.seccomp", "unconfined"), ("oci.runtime", "runc"),
        ("oci.pid", "host"), ("oci.userns", "host"), ("linux.sysctl.net.ipv4.ip_forward", "1"),
        ("limits.kernel.memlock", "1"),
    ])
    func restrictedKeysAreRefused(_ key: String, _ value: String) {
        let policy = policy(["restricted": "true"])
        #expect(code { try policy.check(subject([key: value]), among: []) } == .permissionDenied)
    }

    @Test(arguments: [
        ["type": "disk", "source": "/", "path": "/host"], ["type": "nic", "nictype": "host"],
        ["type": "nic", "nictype": "bridged", "parent": "eth0"], ["type": "unix-char", "path": "/dev/kmsg"],
        ["type": "proxy", "listen": "tcp:0.0.0.0:80"], ["type": "anything-new"],
    ])
    func restrictedDevicesAreRefused(_ device: [String: String]) {
        let policy = policy(["restricted": "true"])
        #expect(code { try policy.check(subject(devices: ["d": device]), among: []) } == .permissionDenied)
    }

    @Test func managedDevicesAreAllowed() throws {
        try policy(["restricted": "true"]).check(
            subject(devices: [
                "root": ["type": "disk", "path": "/", "pool": "default"],
                "data": ["type": "disk", "path": "/data", "source": "vol", "pool": "default"],
                "eth0": ["type": "nic", "network": "isle0"], "off": ["type": "none"],
            ]), among: [])
    }

    @Test func pathsOfTheHostAreHeldToFolders() {
        let policy = policy([
            "restricted": "true", "restricted.devices.disk": "allow", "restricted.devices.disk.paths": "/srv/lab",
        ])
        func disk(_ source: String) -> EngineError.Code? {
            code {
                try policy.check(subject(devices: ["d": ["type": "disk", "path": "/d", "source": source]]), among: [])
            }
        }
        #expect(disk("/srv/lab/a") == nil)
        #expect(disk("/srv/labor") == .permissionDenied)
        #expect(disk("/srv/lab/../../etc") == .permissionDenied)
    }

    @Test func whatIsAllowedIsAllowed() throws {
        try policy(["restricted": "true", "restricted.containers.nesting": "allow"]).check(
            subject(["security.nesting": "true"]), among: [])
    }

    @Test func snapshotsAreBlockedUnlessAllowed() {
        #expect(code { try policy(["restricted": "true"]).checkSnapshots() } == .permissionDenied)
        #expect(code { try policy(["restricted": "true", "restricted.snapshots": "allow"]).checkSnapshots() } == nil)
        #expect(code { try policy([:]).checkBackups() } == nil)
    }

    @Test func keysAreChecked() {
        #expect(code { try ProjectOptions.check(["limits.wishes": "3"]) } == .invalidArgument)
        #expect(code { try ProjectOptions.check(["limits.instances": "-1"]) } == .invalidArgument)
        #expect(code { try ProjectOptions.check(["restricted.devices.nic": "maybe"]) } == .invalidArgument)
        #expect(code { try ServerOptions.check(["core.x": "1"]) } == .invalidArgument)
        #expect(code { try ServerOptions.check(["core.x": "", "user.a": "b"]) } == .invalidArgument)
        #expect(code { try ServerOptions.check(["core.remote_token_expiry": "1d 12H"]) } == nil)
    }

    @Test func attemptsAreBounded() {
        var limiter = AttemptLimiter(limit: 2, window: 60)
        for _ in 0..<2 { limiter.failed("a", now: 0) }
        let answers = [limiter.mayTry("a", now: 1), limiter.mayTry("b", now: 1), limiter.mayTry("a", now: 61)]
        #expect(answers == [false, true, true])
    }
}

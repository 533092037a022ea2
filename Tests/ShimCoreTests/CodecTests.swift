import ShimCore
import Testing

@Suite struct CodecTests {
    static let full = ShimSpec(
        directory: "/run/isle/instances/0123456789abcdef", logPath: "/var/lib/isle/é.log", logMaxSize: 1 << 40,
        logFiles: 5, terminal: true, openStdin: true, stdinOnce: true, columns: 80, rows: 24,
        identity: .init(user: 100_000, group: 44, users: "0 100000 65536\n", groups: "0 44 1\n1 100001 65535\n"),
        newNetwork: true,
        mounts: [
            .idmap(source: "/a", target: "/b"), .bind(source: "/c", target: "/d", readOnly: true),
            .bind(source: "/c", target: "/e", readOnly: false, shifted: true),
            .overlay(lower: ["/1", "/2"], upper: "/u", work: "/w", target: "/t", volatile: true),
            .emptyFile(target: "/e"), .tmpfs(target: "/f", options: "size=1m"),
        ], cgroups: ["/sys/fs/cgroup/x"],
        launch: .process(
            ShimProcess(
                arguments: ["/bin/true", "", "x y"], environment: ["A=b"], workingDirectory: "/w", uid: 1, gid: 2,
                groups: [3, 4],
                sandbox: Sandbox(
                    hostname: "h", binds: [.init(source: "/s", target: "/t", readOnly: false, idMapped: true)],
                    limits: [.init(resource: 7, value: .max)], seccompFile: "/f", rootKiB: 7, devices: ["/dev/kvm"]),
                descriptors: [.init(number: 200, kind: .tap, name: "tap0")])))

    static let runtime = ShimSpec(
        directory: "/d", launch: .runtime(arguments: ["crun", "run"], pidFile: "/d/pidfile"))

    static let exec = ShimExec(
        arguments: ["crun", "exec"], environment: ["X=1"], terminal: true, openStdin: true, columns: 1, rows: 2,
        cgroups: ["/c"])

    @Test(arguments: [full, runtime])
    func specRoundTrip(_ spec: ShimSpec) throws {
        #expect(try ShimSpec(decoding: spec.encoded()) == spec)
    }

    @Test func execRoundTrip() throws {
        #expect(try ShimExec(decoding: Self.exec.encoded()) == Self.exec)
    }

    @Test(arguments: [
        ShimRequest.hello, .networkNamespace, .start, .signal(-9), .resize(columns: 1, rows: 65535),
        .attach(withInput: true), .exec, .wait, .shutdown, .reopenLog,
    ])
    func requestRoundTrip(_ request: ShimRequest) throws {
        #expect(try ShimRequest(decoding: request.encoded()) == request)
    }

    @Test(arguments: [
        ShimReply.done, .state(shim: 1, pid: 2), .started(pid: 77),
        .exited(ShimExit(status: 256, outOfMemory: true, seconds: -1, nanoseconds: 5)),
        .failed(ShimFailure(.runtime, number: 22, "mounting x")), .attached(input: true, separateError: false),
    ])
    func replyRoundTrip(_ reply: ShimReply) throws {
        #expect(try ShimReply(decoding: reply.encoded()) == reply)
    }

    @Test func everyTruncationIsAnError() {
        let bytes = Self.full.encoded()
        for count in 0..<bytes.count {
            #expect(throws: DecodingFailure.self) { try ShimSpec(decoding: Array(bytes[..<count])) }
        }
        let exec = Self.exec.encoded()
        for count in 0..<exec.count {
            #expect(throws: DecodingFailure.self) { try ShimExec(decoding: Array(exec[..<count])) }
        }
    }

    @Test func trailingBytesAreAnError() {
        #expect(throws: DecodingFailure.self) { try ShimSpec(decoding: Self.full.encoded() + [0]) }
        #expect(throws: DecodingFailure.self) { try ShimRequest(decoding: [1, 0]) }
    }

    @Test func flippedAndRandomBytesNeverTrap() {
        var random = SystemRandomNumberGenerator()
        let bytes = Self.full.encoded()
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                _ = try? ShimSpec(decoding: changed)
            }
        }
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...64, using: &random)
            let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = try? ShimRequest(decoding: noise)
            _ = try? ShimReply(decoding: noise)
            _ = try? ShimSpec(decoding: Array(bytes.prefix(60)) + noise)
            _ = try? ShimExec(decoding: Array(Self.exec.encoded().prefix(4)) + noise)
        }
    }

    @Test func hugeCountsTakeNoMemory() {
        var writer = ByteWriter()
        writer.put(UInt32.max)
        var reader = ByteReader(writer.bytes)
        #expect(throws: DecodingFailure.truncated) { try reader.strings() }
    }

    @Test func stringsWithNULAreRefused() {
        var writer = ByteWriter()
        writer.put("a\0b")
        var reader = ByteReader(writer.bytes)
        #expect(throws: DecodingFailure.malformed) { try reader.string() }
    }
}

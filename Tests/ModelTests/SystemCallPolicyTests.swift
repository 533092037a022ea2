import Model
import Testing

@Suite struct SystemCallPolicyTests {
    @Test func aListOfWhatIsDenied() throws {
        let policy = try SystemCallPolicy.parse(
            """
            2
            denylist
            # of LXD's own
            [all]
            reject_force_umount  # comment
            mkdir errno 1
            kexec_load
            ioctl errno 25 [1,0x9000,SCMP_CMP_EQ] [2,3,!=]
            clone trap [0,131072,SCMP_CMP_MASKED_EQ,131072]
            """)
        #expect(policy.standard == .allow)
        #expect(policy.rules.map(\.call) == ["umount2", "mkdir", "kexec_load", "ioctl", "clone"])
        #expect(policy.rules.map(\.action) == [.fail(13), .fail(1), .kill, .fail(25), .trap])
        #expect(policy.rules[3].conditions.map(\.value) == [0x9000, 3])
        #expect(policy.rules[3].conditions.map(\.comparison) == ["SCMP_CMP_EQ", "SCMP_CMP_NE"])
        #expect(policy.rules[4].conditions.first?.mask == 131_072)
    }

    @Test func aListOfWhatIsAllowed() throws {
        let policy = try SystemCallPolicy.parse("2\nwhitelist errno 38\nread\nwrite log\n")
        #expect(policy.standard == .fail(38))
        #expect(policy.rules.map(\.action) == [.allow, .log])
        #expect(try SystemCallPolicy.allowing("read\nwrite").standard == .kill)
    }

    @Test(arguments: [
        "", "2", "1\nwhitelist\n5", "3\ndenylist", "2\nlist", "2\ndenylist perhaps", "2\ndenylist errno",
        "2\ndenylist\nmkdir errno 70000", "2\ndenylist\nmkdir errno", "2\ndenylist\nmk-dir",
        "2\ndenylist\n[ppc]\nmkdir",
        "2\ndenylist\nioctl errno 1 [1,2]", "2\ndenylist\nioctl errno 1 [9,2,SCMP_CMP_EQ]",
        "2\ndenylist\nioctl errno 1 [1,2,SCMP_CMP_EQ,3]", "2\ndenylist\nioctl errno 1 [1,2,SCMP_CMP_MASKED_EQ]",
        "2\ndenylist\nioctl errno 1 [1,2,LIKE]", "2\ndenylist\nmkdir notify",
    ])
    func whatIsNoPolicyIsRefused(_ text: String) {
        let error = #expect(throws: EngineError.self) { try SystemCallPolicy.parse(text) }
        #expect(error?.code == .invalidArgument)
    }
}

import DriverKit
import Testing

@testable import ContainerDriver

struct IDRangeCheckTests {
    private func check(_ text: String) -> HostCheck {
        IDRangeCheck(first: 0x7000_0000, count: 4000 * 65536, files: ["/etc/subuid": text, "/etc/subgid": ""]).check()
    }

    @Test(arguments: ["", "user:100000:65536\n", "a:1879048191:1\nb:2141192192:65536\n", "not a line\n:::\n"])
    func othersRangesMayBeThere(text: String) { #expect(check(text).level == .ok) }

    @Test(arguments: [
        "first:100000:65536\ntaken:1879048192:1\n", "taken:2141192191:65536", "taken:1:4294967295",
        "taken:1:18446744073709551615",
    ])
    func aSharedIDIsAWarning(text: String) {
        let found = check(text)
        #expect(found.level == .warning)
        #expect(found.finding.contains("'taken'") && found.finding.contains("/etc/subuid"))
        #expect(found.advice != nil)
    }
}

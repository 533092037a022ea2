import DriverKit
import Foundation
import Glibc
import LinuxHost
import Model
import Testing

@testable import ContainerDriver

@Suite struct SeccompProfileTests {
    private func application(_ capabilities: Set<String> = Set(CapabilitySet.application), nesting: Bool = false)
        -> SeccompProfile
    {
        .application(capabilities: capabilities, nesting: nesting, machine: "x86_64")
    }

    @Test func noCallIsBothAllowedAndRefused() {
        for profile in [
            application(), application([]), application(Set(CapabilitySet.all)), application(nesting: true),
        ] {
            let plain = profile.rules.filter(\.conditions.isEmpty)
            let allowed = plain.filter { $0.action == .allow }.flatMap(\.calls)
            let refused = plain.filter { $0.action != .allow }.flatMap(\.calls)
            #expect(Set(allowed).isDisjoint(with: refused))
            #expect(Set(refused).count == refused.count)
        }
    }

    @Test func capabilitiesOpenCalls() {
        func allows(_ profile: SeccompProfile, _ call: String) -> Bool {
            profile.rules.contains { $0.action == .allow && $0.conditions.isEmpty && $0.calls.contains(call) }
        }
        #expect(!allows(application(), "mount"))
        #expect(allows(application(["CAP_SYS_ADMIN"]), "mount"))
        #expect(allows(application(nesting: true), "unshare"))
        #expect(allows(application(), "chroot"))
        #expect(!allows(application([]), "chroot"))
        #expect(!allows(application(Set(CapabilitySet.all)), "keyctl"))
        #expect(allows(application(), "openat2"))
        #expect(!allows(application(), "io_uring_setup"))
        #expect(!allows(application(), "ptrace2"))
    }

    @Test func dockersFormatIsRead() throws {
        let json = """
            {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
             "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
             "syscalls": [
              {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
              {"name": "personality", "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
              {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
              {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390"]}},
              {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
              {"names": ["future"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
              {"names": ["breakpoint"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
              {"names": ["kcmp"], "action": "SCMP_ACT_KILL"}]}
            """
        func calls(_ capabilities: Set<String>) throws -> Set<String> {
            Set(
                try SeccompProfile.docker(
                    json: json, capabilities: capabilities, machine: "x86_64", kernel: KernelVersion(major: 6, minor: 1)
                ).rules.flatMap(\.calls))
        }
        #expect(try calls([]) == ["read", "write", "personality", "clone", "ptrace", "kcmp"])
        #expect(try calls(["CAP_SYS_ADMIN"]) == ["read", "write", "personality", "mount", "ptrace", "kcmp"])
        let profile = try SeccompProfile.docker(
            json: json, capabilities: [], machine: "x86_64", kernel: KernelVersion(major: 6, minor: 1))
        #expect(profile.defaultAction == .fail(38))
        #expect(profile.architectures == [.x86_64, .x86, .x32])
        #expect(try !SeccompCompiler.compile(profile).isEmpty)
    }

    @Test(arguments: [
        "", "{}", "[]", "no json", #"{"defaultAction": "SCMP_ACT_NOTIFY"}"#,
        #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "X"}]}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 70000}"#,
        #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
        #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "EQ"}]}]}"#,
        "{\"defaultAction\": \"" + String(repeating: "x", count: 2 << 20) + "\"}",
    ])
    func badProfilesAreRefused(_ json: String) {
        let error = #expect(throws: EngineError.self) {
            try SeccompProfile.docker(
                json: json, capabilities: [], machine: "x86_64", kernel: KernelVersion(major: 6, minor: 1))
        }
        #expect(error?.code == .invalidArgument)
    }

    @Test func kernelVersions() throws {
        let old = try #require(KernelVersion("5.19.0-1-amd64"))
        #expect(old >= KernelVersion(major: 5, minor: 19))
        #expect(try #require(KernelVersion("5.4-rc1")) < old)
        #expect(KernelVersion("x") == nil)
    }

    @Test func filesThatAreDamagedOrOfAnotherProfileAreMadeAnew() async throws {
        let directory = "/tmp/isle-seccomp-test-\(UInt64.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let filter = try await SeccompCache(directory: directory).filter(for: application())
        #expect(filter.count > 800 && filter.count % 8 == 0)
        let files = try FileManager.default.contentsOfDirectory(atPath: directory)
        #expect(files.count == 1)
        let path = "\(directory)/\(try #require(files.first))"
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        for damaged in [Data(), bytes.dropLast(3), Data("isle-seccomp 1 3\nabc".utf8) + bytes.suffix(16)] {
            try Data(damaged).write(to: URL(fileURLWithPath: path))
            #expect(try await SeccompCache(directory: directory).filter(for: application()) == filter)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
        }
    }
}

/// What the filters do under a real runtime. The probes are system calls that busybox's own tools make.
@Suite(.serialized, .enabled(if: Fixture.canRun, Fixture.needs)) struct SeccompRuntimeTests {
    private func probe(
        _ fixture: Fixture, kind: InstanceKind = .application, _ change: (inout LaunchPlan) -> Void = { _ in }
    ) async throws -> [String: String] {
        var plan = try fixture.plan(arguments: ["/bin/probe"], kind: kind)
        change(&plan)
        let (exit, output) = try await fixture.run(plan)
        #expect(exit.code == 0, "\(output)")
        var results: [String: String] = [:]
        for line in output.split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2 { results[String(parts[0])] = String(parts[1]) }
        }
        return results
    }

    /// A static program that makes the calls and prints their error numbers.
    private func addProbe(_ fixture: Fixture) async throws {
        let source = """
            #define _GNU_SOURCE
            #include <stdio.h>
            #include <errno.h>
            #include <unistd.h>
            #include <sched.h>
            #include <sys/syscall.h>
            #include <sys/socket.h>
            #include <sys/mount.h>
            #include <sys/personality.h>
            #define TRY(name, call) do { errno = 0; (void)(call); printf("%s %d\\n", name, errno); } while (0)
            int main(void) {
                TRY("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
                TRY("mount", mount("none", "/tmp", "tmpfs", 0, 0));
                TRY("unshare", unshare(CLONE_NEWUSER));
                TRY("clone3", syscall(435, 0, 0));
                TRY("bpf", syscall(SYS_bpf, 0, 0, 0));
                TRY("io_uring", syscall(425, 1, 0));
                TRY("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
                TRY("unknown", syscall(999));
                TRY("vsock", socket(40, SOCK_STREAM, 0));
                TRY("unix", socket(AF_UNIX, SOCK_STREAM, 0));
                TRY("netlink", socket(16, SOCK_RAW, 0));
                TRY("personality", personality(0x0040000));
                TRY("query", personality(0xffffffff));
                TRY("getpid", syscall(SYS_getpid));
                return 0;
            }
            """
        try HostFiles.write("\(fixture.directory)/probe.c", source, mode: 0o600)
        try await ProcessRunner.check(
            "/usr/bin/cc",
            ["-static", "-O1", "-o", "\(fixture.directory)/layers/base/bin/probe", "\(fixture.directory)/probe.c"])
    }

    @Test(.enabled(if: HostFiles.exists("/usr/bin/cc"), "needs a C compiler"))
    func callsAreRefusedUnderTheRuntime() async throws {
        try await withFixture { fixture in
            try await addProbe(fixture)
            let application = try await probe(fixture)
            for call in ["keyctl", "mount", "unshare", "bpf", "io_uring", "kexec"] {
                #expect(application[call] == "1", "\(call)")
            }
            for call in ["clone3", "unknown", "vsock", "personality"] { #expect(application[call] == "38", "\(call)") }
            for call in ["unix", "netlink", "query", "getpid"] { #expect(application[call] == "0", "\(call)") }

            let system = try await probe(fixture, kind: .system)
            for call in ["mount", "unshare", "unix", "getpid"] { #expect(system[call] == "0", "\(call)") }
            #expect(system["kexec"] == "1")
            #expect(system["bpf"] == "38")

            let nesting = try await probe(fixture) { $0.security.nesting = true }
            #expect(nesting["unshare"] == "0")
            #expect(nesting["keyctl"] == "1")

            let unconfined = try await probe(fixture) { $0.security.seccomp = "unconfined" }
            #expect(unconfined["personality"] == "0")
            #expect(unconfined["unknown"] == "38")

            let custom = try await probe(fixture) {
                $0.security.seccomp =
                    #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpid", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77}]}"#
            }
            #expect(custom["getpid"] == "77")
            #expect(custom["mount"] == "77")
            #expect(custom["unix"] == "0")
        }
    }
}

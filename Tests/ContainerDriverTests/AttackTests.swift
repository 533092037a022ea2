import DriverKit
import Foundation
import Glibc
import LinuxHost
import Model
import Testing

@testable import ContainerDriver

/// What images and their programs have been known to try.
@Suite(.serialized, .enabled(if: Fixture.canRun, Fixture.needs)) struct AttackTests {
    /// An image's `/dev`, `/proc` or `/sys` that is a link must not make the runtime mount over the host's.
    @Test func linkedKernelFoldersLeadNowhere() async throws {
        try await withFixture { fixture in
            let base = "\(fixture.directory)/layers/base"
            let victim = "\(fixture.directory)/victim"
            try HostFiles.makeDirectory(victim, mode: 0o755)
            for (index, name) in ["proc", "dev", "sys", "etc/hosts", "data"].enumerated() {
                let path = "\(base)/\(name)"
                rmdir(path)
                // Up from any depth, then into the victim.
                #expect(symlink(String(repeating: "../", count: 20) + victim.dropFirst(), path) == 0)
                var plan = try fixture.plan("echo ran; echo x > /data/file; true")
                plan.mounts = name == "data" ? [MountSpec(source: base + "/bin", target: "/data/deep")] : []
                // Refused or confined, as the runtime likes; the host stays as it was.
                _ = try? await fixture.run(plan)
                #expect(try FileManager.default.contentsOfDirectory(atPath: victim).isEmpty, "\(name)")
                #expect(fixture.residue(plan).isEmpty)
                unlink(path)
                if index < 3 { try HostFiles.makeDirectory(path, mode: 0o755) }
            }
        }
    }

    /// Files of the host that the driver writes into a system container's `/etc` follow none of its links.
    @Test func linkedSystemFilesStayInside() async throws {
        try await withFixture { fixture in
            let victim = "\(fixture.directory)/victim"
            try HostFiles.write(victim, "untouched", mode: 0o666)
            let etc = "\(fixture.directory)/layers/base/etc"
            for name in ["hostname", "hosts", "resolv.conf"] {
                #expect(symlink(String(repeating: "../", count: 20) + victim.dropFirst(), "\(etc)/\(name)") == 0)
            }
            try fixture.addFile(
                "etc/inittab", "::sysinit:/bin/cat /etc/hostname /etc/hosts\n::respawn:/bin/sleep 1000\n")
            let plan = try fixture.plan(arguments: ["/bin/init"], kind: .system)
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            while !fixture.log(plan).contains("127.0.1.1") { try await Task.sleep(for: .milliseconds(5)) }
            try await handle.delete()
            #expect(fixture.log(plan).contains("box"))
            #expect(try String(contentsOfFile: victim, encoding: .utf8) == "untouched")
        }
    }

    /// No descriptor of the host, and no working folder through one, reaches a container (CVE-2024-21626).
    @Test func noDescriptorLeaks() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan("ls /proc/self/fd | busybox tr '\\n' ' '; readlink /proc/self/exe; sleep 100")
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            let pid = try #require(await handle.pid)
            // While it makes its pipe the shell has that open too.
            while !fixture.log(plan).contains("/busybox") { try await Task.sleep(for: .milliseconds(5)) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").sorted() == ["0", "1", "2"])
            let inner = try await handle.run(["ls", "/proc/self/fd"])
            #expect(inner.output == "0\n1\n2\n3\n")
            for number in 3..<20 {
                for target in ["/proc/self/fd/\(number)", "/proc/self/fd/\(number)/../../.."] {
                    await #expect(throws: EngineError.self, "\(target)") {
                        _ = try await handle.run(["sh", "-c", "ls; pwd -P"], directory: target)
                    }
                }
            }
            try await handle.delete()
        }
    }

    /// The runtime's own program cannot be written through a container's `/proc` (CVE-2019-5736): the container's
    /// root is nobody on the host.
    @Test func runtimeProgramStaysWhole() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan("sleep 100")
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            let attack =
                "i=0; while [ $i -lt 200 ]; do for p in /proc/[0-9]*; do echo evil 2>/dev/null > $p/exe && echo WRITTEN $p; done; i=$((i+1)); done"
            async let writer = handle.run(["sh", "-c", attack])
            for _ in 0..<10 { _ = try await handle.run(["true"]) }
            #expect(!(try await writer).output.contains("WRITTEN /proc/1\n"))
            #expect(
                try readSmallFile(try Runtime.find("crun").path, limit: 16 << 20).starts(with: [0x7f, 0x45, 0x4c, 0x46])
            )
            try await handle.delete()
        }
    }

    @Test func kernelFilesAreMasked() async throws {
        try await withFixture { fixture in
            let (_, output) = try await fixture.run(
                try fixture.plan(
                    """
                    busybox wc -c < /proc/keys; head -c 4 /proc/kcore | busybox wc -c; busybox ls /sys/firmware | busybox wc -l
                    for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/0/smp_affinity; do echo 1 > $f || echo refused; done
                    mount -t tmpfs none /tmp || echo refused; mknod /tmp/disk b 254 0 || echo refused
                    umount /proc/keys || echo refused
                    """))
            #expect(output.contains("0"))
            #expect(output.split(separator: "\n").filter { $0 == "refused" }.count >= 5, "\(output)")
        }
    }

    /// A device file that comes in an image, or lies in a volume, is no way to the host's disk: there are no device
    /// control groups, so the mounts themselves must refuse it.
    @Test func devicesOfImagesAndVolumesAreDead() async throws {
        try await withFixture { fixture in
            let volume = "\(fixture.directory)/volume"
            try HostFiles.makeDirectory(volume, mode: 0o755)
            for path in ["\(fixture.directory)/layers/base/evil", "\(volume)/evil"] {
                // The zero device: reading it shows that devices work, and harms nothing.
                #expect(mknod(path, S_IFCHR | 0o666, dev_t(1 << 8 | 5)) == 0)
                chmod(path, 0o666)
            }
            var plan = try fixture.plan(
                "for f in /evil /vol/evil /dev/zero; do head -c 3 $f 2>/dev/null | busybox wc -c; done")
            plan.mounts = [MountSpec(source: volume, target: "/vol", idMapped: true)]
            let (_, output) = try await fixture.run(plan)
            #expect(output == "0\n0\n3")
        }
    }

    @Test func forkBombIsBounded() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan("bomb() { bomb | bomb & }; bomb; sleep 1; echo alive; sleep 100")
            plan.limits.processes = 40
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            try await Task.sleep(for: .milliseconds(500))
            #expect((try await handle.usage?.usage().processes ?? 0) <= 40)
            try await handle.delete()
            #expect(fixture.residue(plan).isEmpty)
        }
    }

    @Test func processThatIgnoresEverythingIsKilled() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan(
                "trap '' TERM HUP INT; (trap '' TERM; sleep 1000) & while true; do sleep 1000; done")
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            try await Task.sleep(for: .milliseconds(50))
            try await handle.requestStop(signal: nil)
            try await Task.sleep(for: .milliseconds(50))
            #expect(await handle.pid != nil)
            try await handle.signal(SIGKILL)
            #expect(try await handle.wait().code == 137)
            try await handle.delete()
            #expect(fixture.residue(plan).isEmpty)
        }
    }

    @Test func manyAtOnceLeaveNothing() async throws {
        try await withFixture { fixture in
            let plans = try (0..<12).map { try fixture.plan("exit \($0)") }
            try await withThrowingTaskGroup(of: (Int, Int32).self) { group in
                for (index, plan) in plans.enumerated() {
                    group.addTask { (index, try await fixture.run(plan).exit.code) }
                }
                for try await (index, code) in group { #expect(code == Int32(index)) }
            }
            for plan in plans { #expect(fixture.residue(plan).isEmpty) }
            #expect(fixture.driver.cgroups.names().isEmpty)
        }
    }

    @Test(.enabled(if: (try? Runtime.find("runc")) != nil, "runc is not installed"))
    func otherRuntimesWork() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan("id -u; busybox grep ^Seccomp: /proc/self/status; sleep 100")
            plan.config["oci.runtime"] = "runc"
            plan.limits = Limits(memory: 64 << 20, processes: 50)
            let handle = try await fixture.driver.create(plan)
            do {
                try await handle.start()
                #expect(try await handle.run(["echo", "hello"]).output == "hello\n")
                let error = await #expect(throws: EngineError.self) { _ = try await handle.run(["/bin/nope"]) }
                #expect(error?.code == .notFound)
                #expect((try await handle.usage?.usage().memory ?? 0) > 0)
            } catch {
                try await handle.delete()
                throw error
            }
            try await handle.delete()
            #expect(fixture.log(plan).contains("Seccomp:\t2"))
            #expect(fixture.residue(plan).isEmpty)
        }
    }
}

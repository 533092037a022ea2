import DriverKit
import Glibc
import LinuxHost
import Model
import Testing

@testable import MachineDriver

/// Guests and files that mean ill.
@Suite(
    .serialized, .enabled(if: MachineFixture.isReady, Comment(rawValue: MachineFixture.needs)), .timeLimit(.minutes(10))
)
struct MachineAttackTests {
    private let fixture: MachineFixture

    init() throws { fixture = try MachineFixture() }

    /// CVE-2013-1922: a disk whose format is probed could be made by its guest into one that names any file of the host.
    @Test func aGuestsHeaderDoesNotMakeARawDiskAnother() async throws {
        let root = try RootDirectory(path: fixture.folder.path)
        let secret = [UInt8](repeating: 0x53, count: 1 << 20)
        try root.writeFile("secret", secret, mode: 0o644, durable: false)
        let data = "\(fixture.folder.path)/data"
        try root.writeFile("data", [UInt8](repeating: 0, count: 1 << 20), mode: 0o600, durable: false)
        let header = "\(fixture.folder.path)/header.qcow2"
        try await ProcessRunner.check(
            "/usr/bin/qemu-img",
            ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "\(fixture.folder.path)/secret", header, "1M"])
        let bytes = try readSmallFile(header, limit: 1 << 20).prefix(65536)
        var plan = try fixture.plan(disk: try await fixture.busyboxDisk(hasInit: true))
        plan.disks = [
            MachineDisk(name: "data", path: data),
            MachineDisk(name: "header", path: header, readOnly: true),
        ]
        let find =
            "disk() { for d in /sys/block/vd*; do test \"$(cat $d/serial)\" = isle_$1 && echo /dev/${d##*/}; done; }"
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            let copy = try await fixture.run(
                handle, ["sh", "-c", "\(find); head -c 65536 $(disk header) >$(disk data) && echo done"])
            #expect(copy.output == "done\n", "\(copy.error)")
            try await handle.requestStop(signal: nil)
            _ = try await handle.wait()
        }
        #expect(try readSmallFile(data, limit: 2 << 20).prefix(65536) == bytes, "the guest has written the header")
        let again = try fixture.plan(disk: try await fixture.busyboxDisk(hasInit: true))
        var second = again
        second.disks = [MachineDisk(name: "data", path: data)]
        try await fixture.withMachine(second) { handle in
            try await handle.start()
            let seen = try await fixture.run(handle, ["sh", "-c", "\(find); head -c 4 $(disk data)"])
            #expect(seen.output.hasPrefix("QFI"), "the bytes are the guest's own: \(seen)")
            let whole = try await fixture.run(handle, ["sh", "-c", "\(find); cat $(disk data)"])
            #expect(!whole.output.contains("SSSSSSSS"), "and no file of the host's is among them")
        }
    }

    /// A guest that writes without end to its console fills neither the disk nor the daemon.
    @Test func aFloodOfTheConsoleIsBounded() async throws {
        var plan = try fixture.plan(disk: try await fixture.busyboxDisk(hasInit: true))
        plan.log = LogOptions(path: plan.log.path, maxSize: 64 << 10, files: 2)
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            let flood =
                "i=0; while test $i -lt 3000; do echo flood flood flood flood flood flood flood; i=$((i+1)); done"
            _ = try await fixture.run(handle, ["sh", "-c", "(\(flood)) >/dev/ttyS0; echo over"])
            #expect(try await fixture.run(handle, ["echo", "alive"]).output == "alive\n")
            var bytes: Int64 = 0
            for name in try RootDirectory(path: plan.stateDirectory).list().map(\.name.text)
            where name.hasPrefix("console.log") {
                var status = stat()
                if stat("\(plan.stateDirectory)/\(name)", &status) == 0 { bytes += Int64(status.st_size) }
            }
            #expect(bytes > 64 << 10 && bytes <= 2 * (64 << 10) + 32768, "\(bytes) bytes of log")
        }
    }

    /// Links where a run directory's files are to be: nothing they lead to is written, removed or given away.
    @Test func linksInTheRunDirectoryLeadNowhere() async throws {
        let plan = try fixture.plan(disk: try await fixture.busyboxDisk(hasInit: true))
        let root = try RootDirectory(path: fixture.folder.path)
        try root.makeDirectory("victim", mode: 0o755)
        let victim = "\(fixture.folder.path)/victim"
        let names = ["m", "machine.json", "shares", "exit", "pid", "ns", "root", "shim.sock", "shim.pid"]
        for name in names {
            try root.writeFile("victim/\(name)", Array("untouched".utf8), mode: 0o644, durable: false)
            try RootDirectory(path: plan.runDirectory).makeSymbolicLink(name, target: "\(victim)/\(name)")
        }
        do {
            try await fixture.withMachine(plan) { handle in try await handle.start() }
        } catch let error as EngineError {
            // To refuse is as good as to replace.
            #expect(!error.message.isEmpty)
        }
        for name in names {
            var status = stat()
            #expect(lstat("\(victim)/\(name)", &status) == 0 && status.st_uid == 0 && status.st_mode & 0o777 == 0o644)
            #expect(try readSmallFile("\(victim)/\(name)") == Array("untouched".utf8), "\(name)")
        }
    }
}

import Archive
import CHost
import Glibc
import LinuxHost
import Model
import Testing

@Suite(.enabled(if: isRoot, "needs root: owners, device nodes, trusted attributes"))
struct TreeUnpackerTests {
    @Test func filesFoldersLinksAndTheirMetadata() throws {
        let tree = try Unpacked()
        let report = try tree.unpack { tar in
            tar.folder("./")
            tar.folder("bin/") { $0.mode = "0001777" }
            tar.file("bin/su", "program") {
                $0.mode = "0004755"
                $0.uid = "0000000"
                $0.gid = "0000012"
            }
            tar.link("sh", to: "bin/su")
            tar.link("bin/second", to: "bin/su", hard: true)
            tar.add(Array("pipe".utf8), type: "6")
            tar.file("owned", "x") { $0.uid = "0177777" }
        }
        #expect(report.entries == 7)
        let su = try #require(try tree.root.status("bin/su"))
        #expect(su.permissions == 0o4755)
        #expect(su.group == 10)
        #expect(su.links == 2)
        #expect(su.modified == FileTime(seconds: 0o7346545000))
        #expect(try tree.text("bin/second") == "program")
        let bin = try #require(try tree.root.status("bin"))
        #expect(bin.permissions == 0o1777)
        #expect(bin.modified == FileTime(seconds: 0o7346545000))
        #expect(try tree.root.readLink("sh") == "bin/su")
        #expect(try tree.root.status("pipe")?.kind == .fifo)
        #expect(try tree.root.status("owned")?.user == 65535)
        tree.checkOutside()
    }

    @Test func aFolderThatItsOwnerMayNotWriteIsFilled() throws {
        let tree = try Unpacked()
        _ = try tree.unpack { tar in
            tar.folder("closed/") { $0.mode = "0000555" }
            tar.file("closed/in")
        }
        #expect(try tree.root.status("closed")?.permissions == 0o555)
        #expect(try tree.root.status("closed")?.modified.seconds == 0o7346545000)
    }

    @Test func foldersThatTheArchiveLeavesOutAreMade() async throws {
        let tree = try Unpacked()
        // On a thread whose umask is its own.
        try await runOnOwnThread {
            #expect(isle_thread_private_mounts() == 0)
            umask(0o077)
            _ = try tree.unpack { $0.file("a/b/c/file") }
        }
        for path in ["a", "a/b", "a/b/c"] { #expect(try tree.root.status(path)?.permissions == 0o755) }
    }

    @Test func laterMembersReplaceEarlierOnes() throws {
        let tree = try Unpacked()
        _ = try tree.unpack { tar in
            tar.file("a", "first")
            tar.file("a", "second")
            tar.folder("d/")
            tar.file("d/x")
            tar.file("d", "now a file")
            tar.link("l", to: "/nowhere")
            tar.folder("l/")
            tar.file("l/y")
            tar.folder("keep/")
            tar.file("keep/z")
            tar.folder("keep/") { $0.mode = "0000700" }
        }
        #expect(try tree.text("a") == "second")
        #expect(try tree.text("d") == "now a file")
        #expect(try tree.root.status("l")?.kind == .directory)
        #expect(try tree.text("l/y") == "x")
        #expect(try tree.text("keep/z") == "x")
        #expect(try tree.root.status("keep")?.permissions == 0o700)
    }

    @Test func whiteoutsBecomeOverlayMarks() throws {
        let tree = try Unpacked()
        _ = try tree.unpack { tar in
            tar.folder("etc/")
            tar.file("etc/.wh.removed", "")
            tar.folder("var/")
            tar.file("var/.wh..wh..opq", "")
            tar.file("var/new")
            tar.file(".wh.top", "")
            tar.file("fresh/.wh..wh..opq", "")
            tar.file(".wh..wh.plnk/5.6", "aufs")
        }
        for name in ["etc/removed", "top"] {
            let status = try #require(try tree.root.status(name))
            #expect(status.kind == .characterDevice)
            #expect(status.major == 0 && status.minor == 0)
        }
        for name in ["var", "fresh"] {
            #expect(try tree.root.attribute(name, "trusted.overlay.opaque") == Array("y".utf8))
        }
        #expect(try tree.text("var/new") == "x")
        #expect(try tree.root.list("etc").map(\.name) == ["removed"])
        #expect(try !tree.root.exists(".wh..wh.plnk"))
    }

    @Test func aWhiteoutConcernsLowerLayersOnly() throws {
        let tree = try Unpacked()
        _ = try tree.unpack { tar in
            tar.file("file", "mine")
            tar.file(".wh.file", "")
            tar.folder("before/")
            tar.file("before/x")
            tar.file(".wh.before", "")
            tar.file(".wh.after", "")
            tar.folder("after/")
            tar.file(".wh.again", "")
            tar.file("again", "new")
        }
        #expect(try tree.text("file") == "mine")
        #expect(try tree.text("before/x") == "x")
        #expect(try tree.root.attribute("before", "trusted.overlay.opaque") == Array("y".utf8))
        #expect(try tree.root.attribute("after", "trusted.overlay.opaque") == Array("y".utf8))
        #expect(try tree.text("again") == "new")
    }

    @Test func aPlainTreeHasNoWhiteouts() throws {
        let tree = try Unpacked()
        var tar = RawTar()
        tar.file("dir/.wh.name", "kept")
        try tree.unpack(tar.ended, UnpackOptions(whiteouts: .ordinary))
        #expect(try tree.text("dir/.wh.name") == "kept")
    }

    @Test func attributesAndCapabilities() throws {
        let tree = try Unpacked()
        // cap_net_raw=ep: version 2, effective, permitted bit 13.
        let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0] + [UInt8](repeating: 0, count: 12)
        let report = try tree.unpack { tar in
            tar.pax([
                ("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.note", Array("hi\n=".utf8)),
                ("SCHILY.xattr.security.selinux", [1]),
            ])
            tar.file("ping") {
                $0.mode = "0000755"
                $0.uid = "0000001"
            }
            tar.pax([("SCHILY.xattr.user.note", [1])])
            tar.link("link", to: "ping")
        }
        #expect(try tree.root.attribute("ping", "security.capability") == capability)
        #expect(try tree.root.attribute("ping", "user.note") == Array("hi\n=".utf8))
        #expect(report.droppedAttributes == ["security.selinux": 1, "user.note": 1])
    }

    @Test func devicesAreSkippedUnlessAskedFor() throws {
        var tar = RawTar()
        tar.add(Array("null".utf8), type: "3") {
            $0.major = "0000001"
            $0.minor = "0000003"
        }
        tar.add(Array("zero".utf8), type: "3")
        let tree = try Unpacked()
        let report = try tree.unpack(tar.ended)
        #expect(report.skippedDevices == 2)
        #expect(report.skippedDevicePaths == ["null", "zero"])
        #expect(try tree.root.list().isEmpty)
        let other = try Unpacked()
        #expect(try other.unpack(tar.ended, UnpackOptions(devices: .create)).skippedDevices == 1)
        #expect(try other.root.status("null")?.minor == 3)
    }

    @Test func longAndStrangeNames() throws {
        let tree = try Unpacked()
        let long = String(repeating: "d", count: 200) + "/" + String(repeating: "f", count: 255)
        let latin1: [UInt8] = [0x66, 0xfc, 0x72]
        _ = try tree.unpack { tar in
            tar.pax([("path", Array(long.utf8)), ("mtime", Array("12.5".utf8)), ("uid", Array("4000".utf8))])
            tar.file("short")
            tar.add(Array("././@LongLink".utf8), type: "L", content: Array((long.dropLast() + "2").utf8) + [0])
            tar.file("short2")
            tar.add(latin1, content: [1])
        }
        let status = try #require(try tree.root.status(long))
        #expect(status.modified == FileTime(seconds: 12, nanoseconds: 500_000_000))
        #expect(status.user == 4000)
        #expect(try tree.root.status(HostPath(bytes: latin1))?.size == 1)
        #expect(try tree.root.list().count == 2)
    }

    @Test func theDigestCoversWhatFollowsTheEnd() throws {
        let tree = try Unpacked()
        var tar = RawTar()
        tar.file("a")
        let padded = tar.ended + [UInt8](repeating: 0, count: 8704)
        let short = try tree.unpack(tar.ended).digest
        let long = try tree.unpack(padded)
        #expect(short != long.digest)
        #expect(long.bytes == Int64(padded.count))
        #expect(throws: EngineError.self) { try tree.unpack(padded, expecting: short) }
        #expect(try tree.unpack(padded, expecting: long.digest).digest == long.digest)
    }
}

import Archive
import Glibc
import LinuxHost
import Model
import Testing

/// Archives that are made to do harm; after each, nothing outside the root has changed.
@Suite(.enabled(if: isRoot, "needs root: owners, device nodes, trusted attributes"))
struct ArchiveAttackTests {
    @Test(arguments: ["../outside/victim", "a/../../outside/victim", "..", "a/..", "/../outside/victim"])
    func pathsThatClimb(_ path: String) throws {
        let tree = try Unpacked()
        let error = try #require(try tree.refusal { $0.file(path, "harm") })
        #expect(error.code == .invalidArgument)
        #expect(error.message.contains("'..'"))
    }

    @Test func absolutePathsLandInside() throws {
        let tree = try Unpacked()
        let path = tree.base.path + "/outside/victim"
        _ = try tree.unpack { $0.file(path, "harm") }
        #expect(try tree.text(path) == "harm")
        tree.checkOutside()
    }

    @Test func writingThroughASymbolicLink() throws {
        let tree = try Unpacked()
        let outside = tree.base.path + "/outside"
        _ = try tree.unpack { tar in
            tar.link("absolute", to: outside)
            tar.file("absolute/victim", "harm")
            tar.link("relative", to: "../outside")
            tar.file("relative/victim", "harm")
            tar.link("last", to: "\(outside)/victim")
            tar.file("last", "harm")
            tar.link("chain1", to: "chain2/../..")
            tar.link("chain2", to: ".")
            tar.file("chain1/outside/victim", "harm")
        }
        tree.checkOutside()
        #expect(try tree.root.status("last")?.kind == .regular)
        #expect(try tree.text("outside/victim") == "harm")
    }

    @Test func writingThroughAHardLinkChain() throws {
        let tree = try Unpacked()
        let outside = tree.base.path + "/outside/victim"
        // A hard link to a link to the outside, then content written to that name.
        _ = try tree.unpack { tar in
            tar.link("soft", to: outside)
            tar.link("hard", to: "soft", hard: true)
            tar.file("hard", "harm")
        }
        tree.checkOutside()
        #expect(try tree.text("hard") == "harm")
        let error = try #require(try tree.refusal { $0.link("h", to: "../outside/victim", hard: true) })
        #expect(error.code == .invalidArgument)
        let absolute = try #require(try tree.refusal { $0.link("h", to: outside, hard: true) })
        #expect(absolute.message.contains("not in the archive"))
        #expect(try tree.refusal { $0.link("self", to: "./self", hard: true) } != nil)
        let folder = try #require(
            try tree.refusal {
                $0.folder("d/")
                $0.link("f", to: "d", hard: true)
            })
        #expect(folder.message.contains("folder"))
    }

    @Test func metadataIsNotAppliedThroughLinks() throws {
        let tree = try Unpacked()
        let before = try #require(try tree.base.status("outside"))
        _ = try tree.unpack { tar in
            tar.folder("dir/") {
                $0.mode = "0007777"
                $0.uid = "0001234"
            }
            tar.link("dir", to: tree.base.path + "/outside")
        }
        #expect(try tree.base.status("outside") == before)
        #expect(try tree.root.status("dir")?.kind == .symbolicLink)
    }

    @Test(arguments: [".wh...", ".wh..", ".wh.", "a/.wh...", ".wh.x/y"])
    func whiteoutsOfNothingOrOfTheParent(_ name: String) throws {
        let tree = try Unpacked()
        #expect(try tree.refusal { $0.file(name, "") }?.code == .invalidArgument)
    }

    @Test func whiteoutsAndOpaqueMarksThroughLinks() throws {
        let tree = try Unpacked()
        _ = try tree.unpack { tar in
            tar.link("out", to: tree.base.path + "/outside")
            tar.file("out/.wh.victim", "")
            tar.file("out/.wh..wh..opq", "")
        }
        tree.checkOutside()
        #expect(try tree.base.attribute("outside", "trusted.overlay.opaque") == nil)
    }

    @Test func overlayAttributesFromTheArchive() throws {
        for name in ["trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.anything"] {
            let tree = try Unpacked()
            let error = try #require(
                try tree.refusal {
                    $0.pax([("SCHILY.xattr." + name, Array("/etc".utf8))])
                    $0.folder("d/")
                })
            #expect(error.message.contains(name))
        }
    }

    @Test func namesThatAreTooLong() throws {
        let tree = try Unpacked()
        let name = try #require(
            try tree.refusal {
                $0.pax([("path", [UInt8](repeating: 97, count: 256))])
                $0.file("x")
            })
        #expect(name.message.contains("255"))
        let path = [UInt8]("abcdefgh/".utf8)
        let deep = try #require(
            try tree.refusal {
                $0.pax([("path", Array(repeatElement(path, count: 600).joined()))])
                $0.file("x")
            })
        #expect(deep.message.contains("4096"))
        #expect(deep.message.utf8.count < 400)
        let attribute = try #require(
            try tree.refusal {
                $0.pax([("SCHILY.xattr.user." + String(repeating: "n", count: 300), [1])])
                $0.file("x")
            })
        #expect(attribute.message.contains("attribute"))
        #expect(
            try tree.refusal {
                $0.add(Array("x".utf8), type: "L", content: [UInt8](repeating: 97, count: (1 << 20) + 1))
            } != nil)
        #expect(
            try tree.refusal {
                $0.pax([("path", Array("a\u{0}b".utf8))])
                $0.file("x")
            }?.message.contains("NUL") == true)
    }

    @Test(arguments: ["4294967295", "99999999999999", "-5", "zero"])
    func ownersOutOfRange(_ uid: String) throws {
        let tree = try Unpacked()
        let error = try #require(
            try tree.refusal {
                $0.pax([("uid", Array(uid.utf8))])
                $0.file("x")
            })
        #expect(error.message.contains("user id"))
    }

    @Test func controlCharactersDoNotReachTheTerminal() throws {
        let tree = try Unpacked()
        let error = try #require(try tree.refusal { $0.file("../\u{1b}[31m", "") })
        #expect(!error.description.contains("\u{1b}"))
    }

    @Test func tooManyMembersAndTooManyBytes() throws {
        var tar = RawTar()
        for index in 0..<11 { tar.file("f\(index)") }
        let tree = try Unpacked()
        let options = UnpackOptions(limits: ArchiveLimits(entries: 10))
        let error = #expect(throws: EngineError.self) { try tree.unpack(tar.ended, options) }
        #expect(error?.code == .resourceExhausted)
        var sparse = RawTar()
        sparse.pax([
            ("GNU.sparse.size", Array("9000000000000000000".utf8)), ("GNU.sparse.map", Array("0,1".utf8)),
        ])
        sparse.file("huge", "x")
        let huge = #expect(throws: EngineError.self) { try tree.unpack(sparse.ended) }
        #expect(huge?.code == .resourceExhausted)
    }

    @Test(arguments: ["5,1,0,1", "0,2", "0,-1", "0", "0,1,0,1", "9,1", "9223372036854775807,1"])
    func wrongSparseMaps(_ map: String) throws {
        let tree = try Unpacked()
        let error = try tree.refusal {
            $0.pax([("GNU.sparse.size", Array("8".utf8)), ("GNU.sparse.map", Array(map.utf8))])
            $0.file("s", "x")
        }
        #expect(error?.code == .invalidArgument)
    }

    @Test func damagedArchives() throws {
        var tar = RawTar()
        tar.file("a", String(repeating: "content", count: 200))
        let tree = try Unpacked()
        for size in [1, 511, 600, 1024] {
            let error = #expect(throws: EngineError.self) { try tree.unpack(Array(tar.ended.prefix(size))) }
            #expect(error?.message.contains("cut off") == true)
        }
        var flipped = tar.ended
        flipped[3] ^= 1
        #expect(throws: EngineError.self) { try tree.unpack(flipped) }
        for size in ["77777777777", "9999999999", "-1"] {
            #expect(throws: EngineError.self) {
                var wrong = RawTar()
                wrong.file("a", "x") { $0.size = size }
                try tree.unpack(wrong.ended)
            }
        }
        #expect(throws: EngineError.self) { try tree.unpack([UInt8](repeating: 65, count: 4096)) }
        for record in ["5 a=b\n", "99 a=b\n", "x a=b\n", "6 ab\n\n", "7 a=b"] {
            #expect(throws: EngineError.self) {
                var wrong = RawTar()
                wrong.add(Array("p".utf8), type: "x", content: Array(record.utf8))
                wrong.file("a")
                try tree.unpack(wrong.ended)
            }
        }
        var unknown = RawTar()
        unknown.add(Array("m".utf8), type: "M")
        #expect(throws: EngineError.self) { try tree.unpack(unknown.ended) }
    }
}

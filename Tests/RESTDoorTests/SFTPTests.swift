import DriverKit
import HTTPTypes
import Model
import Testing

@testable import RESTDoor

struct SFTPTests {
    @Test func fieldsAreReadInTheirOrder() throws {
        var reader = SFTPReader([7, 0, 0, 1, 0, 0, 0, 0, 2, 104, 105, 0, 0, 0, 0, 0, 0, 0, 9][...])
        #expect(try reader.byte() == 7)
        #expect(try reader.number() == 256)
        #expect(try reader.text() == "hi")
        #expect(try reader.long() == 9)
        #expect(throws: SFTP.Malformed.self) { try reader.byte() }
    }

    @Test func aStringLongerThanThePacketIsRefused() {
        var reader = SFTPReader([0xff, 0xff, 0xff, 0xff, 1][...])
        #expect(throws: SFTP.Malformed.self) { try reader.bytes() }
    }

    @Test func attributesGoBothWays() throws {
        var writer = SFTPWriter(.attributes, id: 1)
        writer.attributes(
            FileFacts(kind: .directory, permissions: 0o755, user: 33, group: 44, size: 4096, modified: 1_700_000_000))
        let packet = writer.finished
        #expect(packet[0..<5] == [0, 0, 0, UInt8(packet.count - 4), 105])
        var reader = SFTPReader(packet[9...])
        let change = try reader.attributes()
        #expect(
            change
                == FileChange(permissions: 0o755, user: 33, group: 44, size: 4096, modified: 1_700_000_000))
    }

    @Test(arguments: [("/a/./b//c", "/a/b/c"), ("../../x", "/x"), ("", "/"), ("/a/b/../c/..", "/a")])
    func pathsAreMadeAbsolute(path: String, expected: String) {
        #expect(SFTPServer.absolute(GuestPath(path)) == GuestPath(expected))
    }

    @Test func headersOfAFile() throws {
        var fields = HTTPFields()
        fields[try #require(HTTPField.Name("X-LXD-type"))] = "directory"
        fields[try #require(HTTPField.Name("X-LXD-mode"))] = "0750"
        fields[try #require(HTTPField.Name("X-LXD-uid"))] = "33"
        let headers = try FileHeaders(fields)
        #expect(headers.kind == .directory && headers.attributes == FileChange(permissions: 0o750, user: 33))
        for (name, value) in [
            ("X-LXD-mode", "789"), ("X-LXD-mode", "77777"), ("X-LXD-uid", "root"), ("X-LXD-type", "device"),
            ("X-LXD-write", "insert"), ("X-LXD-gid", "4294967295"),
        ] {
            var wrong = HTTPFields()
            wrong[try #require(HTTPField.Name(name))] = value
            #expect(throws: EngineError.self) { try FileHeaders(wrong) }
        }
    }
}

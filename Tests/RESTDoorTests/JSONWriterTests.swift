import Foundation
import Testing
import WireTypes

@testable import RESTDoor

struct JSONWriterTests {
    private struct Everything: Codable, Equatable {
        var text = "q\"\\/\n\r\t\u{1}é🙂\u{7f}"
        var yes = true
        var whole = Int64.min
        var real = -1.5e300
        var small: UInt8 = 255
        var missing: Int?
        var nothing = Nothing()
        var list = [[1, 2], []]
        var map = ["b": ["x": 1], "a": [:]]
        var kinds = [
            "k": JSONValue.array([.null, .bool(false), .double(0.25), .object(["z": .int(1), "y": .string("")])])
        ]
    }
    private struct Nothing: Codable, Equatable {}

    @Test func whatIsWrittenIsReadAgain() throws {
        let bytes = try JSONWriter.encode([Everything(), Everything()])
        #expect(try JSONDecoder().decode([Everything].self, from: Data(bytes)) == [Everything(), Everything()])
    }

    @Test func sameValuesHaveTheSameText() throws {
        let text = String(decoding: try JSONWriter.encode(["b": 1, "a": 2, "c": 3]), as: UTF8.self)
        #expect(text == #"{"a":2,"b":1,"c":3}"#)
        #expect(String(decoding: try JSONWriter.encode(Nothing()), as: UTF8.self) == "{}")
        #expect(String(decoding: try JSONWriter.encode("a/b"), as: UTF8.self) == #""a/b""#)
        #expect(String(decoding: try JSONWriter.encode([1.0, 0.5]), as: UTF8.self) == "[1,0.5]")
        #expect(String(decoding: try JSONWriter.encode([Int?.none, 4]), as: UTF8.self) == "[null,4]")
    }

    @Test func answersOfTheAPI() throws {
        var instance = API.Instance()
        instance.name = "web"
        instance.config = ["user.x": "line\nbreak"]
        instance.state = API.InstanceState()
        let bytes = try JSONWriter.encode(API.Response([instance]))
        let read = try JSONDecoder().decode(API.Response<[API.Instance]>.self, from: Data(bytes))
        #expect(read.metadata == [instance])
    }

    @Test func whatIsNoNumberIsRefused() {
        #expect(throws: EncodingError.self) { try JSONWriter.encode([Double.nan]) }
    }
}

/// Text from elsewhere, made fit for a terminal.
public enum PlainText {
    /// `text` with control characters, and those that change the direction of writing, shown as escapes, so that a
    /// name cannot move the cursor or hide what stands beside it.
    public static func escaped(_ text: String) -> String {
        if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return text }
        var out = ""
        for scalar in text.unicodeScalars {
            out += isHarmless(scalar) ? String(scalar) : scalar.escaped(asASCII: true)
        }
        return out
    }

    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: false
        default: true
        }
    }

    /// The number of columns that `text` takes on a terminal: combining marks none, East Asian wide characters and
    /// emoji two (Unicode Standard Annex 11).
    public static func width(_ text: String) -> Int {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.count }
        return text.reduce(0) { $0 + width($1) }
    }

    private static func width(_ character: Character) -> Int {
        guard let first = character.unicodeScalars.first else { return 0 }
        // Characters of several scalars with a variation selector 16 are shown as emoji.
        if character.unicodeScalars.contains(where: { $0.value == 0xFE0F }) { return 2 }
        return width(first)
    }

    private static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        return wide.contains { $0.contains(scalar.value) } ? 2 : 1
    }

    /// Ranges of East Asian wide and full-width characters and of emoji.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x231A...0x231B, 0x2329...0x232A, 0x23E9...0x23EC, 0x25FD...0x25FE, 0x2614...0x2615,
        0x2648...0x2653, 0x267F...0x267F, 0x26A1...0x26A1, 0x26AA...0x26AB, 0x26BD...0x26BE, 0x2705...0x2705,
        0x270A...0x270B, 0x274C...0x274C, 0x2753...0x2755, 0x2757...0x2757, 0x2795...0x2797, 0x2B1B...0x2B1C,
        0x2B50...0x2B50, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
        0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
        0x16FE0...0x18AFF, 0x1B000...0x1B2FF, 0x1F004...0x1F004, 0x1F0CF...0x1F0CF, 0x1F18E...0x1F18E,
        0x1F191...0x1F19A, 0x1F200...0x1F320, 0x1F32D...0x1F64F, 0x1F680...0x1F6FF, 0x1F7E0...0x1F7EB,
        0x1F90C...0x1F9FF, 0x1FA70...0x1FAFF, 0x20000...0x3FFFD,
    ]

    /// `text` cut to `columns` columns, with an ellipsis in place of what was cut.
    public static func cut(_ text: String, to columns: Int) -> String {
        if width(text) <= columns { return text }
        if columns <= 1 { return columns == 1 ? "…" : "" }
        var out = ""
        var used = 0
        for character in text {
            let more = width(character)
            if used + more > columns - 1 { break }
            out.append(character)
            used += more
        }
        return out + "…"
    }
}

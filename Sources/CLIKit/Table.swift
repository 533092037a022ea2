/// Rows under headings, aligned in columns.
public struct Table: Sendable {
    public struct Column: Sendable {
        public var title: String
        /// Numbers stand at the right.
        public var alignsRight: Bool
        /// Columns that the cell keeps at least when a narrow terminal forces cuts; nil is never cut.
        public var minimum: Int?

        public init(_ title: String, right: Bool = false, minimum: Int? = nil) {
            self.title = title
            alignsRight = right
            self.minimum = minimum
        }
    }

    /// What a cell holds; control characters in it are escaped when it is shown.
    public struct Cell: Sendable, ExpressibleByStringLiteral {
        public var text: String
        public var color: Color?

        public init(_ text: String, _ color: Color? = nil) {
            self.text = text
            self.color = color
        }

        public init(stringLiteral text: String) { self.init(text) }
    }

    public var columns: [Column]
    public var rows: [[Cell]] = []

    public init(_ columns: [Column]) { self.columns = columns }

    public mutating func add(_ cells: Cell...) { rows.append(cells) }

    /// The lines, headings first. With `width` the widest columns that may be cut are, until a line fits.
    public func lines(width: Int? = nil, color: Bool = false) -> [String] {
        let shown = rows.map { $0.map { PlainText.escaped($0.text) } }
        var widths = columns.map { PlainText.width($0.title) }
        for row in shown {
            for (index, text) in row.enumerated() where index < widths.count {
                widths[index] = max(widths[index], PlainText.width(text))
            }
        }
        if let width { fit(&widths, into: width) }
        var lines = [line(columns.map { ($0.title, color ? .heading : nil) }, widths)]
        for (row, texts) in zip(rows, shown) {
            lines.append(line(zip(texts, row).map { ($0, color ? $1.color : nil) }, widths))
        }
        return lines
    }

    private func fit(_ widths: inout [Int], into width: Int) {
        let gaps = 2 * max(0, columns.count - 1)
        var excess = widths.reduce(gaps, +) - width
        while excess > 0 {
            let cuttable = columns.indices.filter { index in columns[index].minimum.map { widths[index] > $0 } ?? false
            }
            guard let widest = cuttable.max(by: { widths[$0] < widths[$1] }) else { return }
            widths[widest] -= 1
            excess -= 1
        }
    }

    private func line(_ cells: [(text: String, color: Color?)], _ widths: [Int]) -> String {
        var out = ""
        var pending = 0
        for (index, cell) in cells.enumerated() where index < columns.count {
            let text = PlainText.cut(cell.text, to: widths[index])
            let padding = widths[index] - PlainText.width(text)
            if index > 0 { pending += 2 }
            if columns[index].alignsRight { pending += padding }
            if !text.isEmpty {
                out += String(repeating: " ", count: pending)
                pending = 0
                out += cell.color?.paint(text) ?? text
            }
            if !columns[index].alignsRight { pending += padding }
        }
        return out
    }
}

/// Colours of a terminal (ECMA-48, select graphic rendition).
public enum Color: String, Sendable {
    case good = "32"
    case warning = "33"
    case bad = "31"
    case dim = "2"
    case heading = "1"

    /// `text` in this colour.
    public func paint(_ text: String) -> String { "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" }
}

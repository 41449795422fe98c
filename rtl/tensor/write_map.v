// SPDX-License-Identifier: Apache-2.0
//
// write_map: which lines of each open epoch are written, so that no line is encrypted twice
// under one (key, IV, counter).
//
// One bit for each line, in words of 64 lines. A slot holds MAP_WORDS words, a window that
// starts at the oldest word with a line still missing: words below it are full, so a line
// there was written; a line above it is out of reach until the window moves. The window moves
// when a burst asks for a word above it and the words that drop out are full.
//
// check_*     valid/ready; lines [check_line, check_line + check_count) of check_slot,
//             count 1 .. 64. The answer is a pulse of rsp_valid with rsp_cause: NONE (the
//             lines are now marked), REWRITE or ORDER (nothing is marked).
// clear_*     valid/ready; empties the map of clear_slot, whose tensor has clear_lines lines.
//             Completes with a pulse of clear_done. clear goes before check.
// fault       pulse: the state was not one of its own. Whoever waits is answered: rsp_valid with
//             NOT_READY and clear_done come with it. Nothing was allowed; a burst over two
//             words may have its second one marked, which can only refuse more.
// Latency     check: 3 cycles, 2 for a burst that begins below the window, 5 for one that spans two
//             words (4 if its second one refuses); 2 more for each word the window moves.
//             clear: one cycle for each word in use, plus 1.
//
// SEC_CM: LINE.WRITE_ONCE - a line is accepted once per epoch.
// SEC_CM: FSM.SAFE - states differ in at least two bits; one that does not exist is a fault and refuses the burst.

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module write_map #(
    parameter SLOTS     = 16,   // tensor slots, power of two
    parameter SLOT_W    = 4,    // width of a slot number in bits
    parameter MAP_WORDS = 256   // words of 64 lines per slot, power of two, >= 4
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              check_valid,
    output wire              check_ready,
    input  wire [SLOT_W-1:0] check_slot,
    input  wire [29:0]       check_line,
    input  wire [6:0]        check_count,
    output reg               rsp_valid,
    output reg  [3:0]        rsp_cause,

    input  wire              clear_valid,
    output wire              clear_ready,
    input  wire [SLOT_W-1:0] clear_slot,
    input  wire [30:0]       clear_lines,
    output reg               clear_done,
    output reg               fault
);

    localparam MW = $clog2(MAP_WORDS);

    // Codes of even parity: one flipped bit never leads to another state.
    localparam [3:0] IDLE   = 4'b0000;  // waits for a request
    localparam [3:0] SEEK   = 4'b0011;  // reads the oldest word if the window has to move, else the first word
    localparam [3:0] MOVE   = 4'b0101;  // the oldest word is at hand: is it full?
    localparam [3:0] FIRST  = 4'b0110;  // the first word is at hand
    localparam [3:0] SECOND = 4'b1001;  // the second word is at hand
    localparam [3:0] MARK   = 4'b1010;  // writes the first word, after the second
    localparam [3:0] CLEAR  = 4'b1100;

    (* fsm_encoding = "none" *)
    reg  [3:0]        fsm;
    reg  [SLOT_W-1:0] slot;
    reg  [23:0]       word0, word1;      // words of the burst
    reg  [63:0]       mask0, mask1;      // its lines in them
    reg  [63:0]       kept0;             // first word with the burst marked
    reg  [MW:0]       clear_left;

    reg  [23:0]       oldest [0:SLOTS-1];
    wire [23:0]       start  = oldest[slot];

    wire [6:0]        from      = {1'b0, check_line[5:0]};
    wire [127:0]      ones      = (128'd1 << check_count) - 128'd1;
    wire [127:0]      span      = ones << from;
    wire [30:0]       last_line = {1'b0, check_line} + {24'd0, check_count} - 31'd1;
    wire              two_words = (mask1 != 64'd0);
    wire [23:0]       reach     = word1 - start;    // valid once word0 >= start
    wire              below     = (word0 < start);
    wire              above     = !below && ({8'd0, reach} >= MAP_WORDS);

    wire [24:0]       clear_words_all = clear_lines[30:6] + {24'd0, |clear_lines[5:0]};
    wire [MW:0]       clear_words = ({7'd0, clear_words_all} >= MAP_WORDS) ? {1'b1, {MW{1'b0}}} : {1'b0, clear_words_all[MW-1:0]};

    assign clear_ready = (fsm == IDLE);
    assign check_ready = (fsm == IDLE) && !clear_valid;

    reg               ram_we, ram_re;
    reg  [MW-1:0]     ram_waddr, ram_raddr;
    reg  [63:0]       ram_wdata;
    wire [63:0]       ram_rdata;

    ram_1r1w #(
        .W     (64),
        .DEPTH (SLOTS * MAP_WORDS)
    ) u_map (
        .clk   (clk),
        .we    (ram_we),
        .waddr ({slot, ram_waddr}),
        .wdata (ram_wdata),
        .clear (rst),
        .re    (ram_re),
        .raddr ({slot, ram_raddr}),
        .rdata (ram_rdata)
    );

    always @* begin
        ram_we    = 1'b0;
        ram_waddr = word0[MW-1:0];
        ram_wdata = 64'd0;
        ram_re    = 1'b0;
        ram_raddr = word0[MW-1:0];
        case (fsm)
            SEEK: begin
                ram_re    = 1'b1;
                ram_raddr = above ? start[MW-1:0] : word0[MW-1:0];
            end
            MOVE: begin
                // The word that drops out becomes the newest word of the window, empty.
                ram_we    = (ram_rdata == {64{1'b1}});
                ram_waddr = start[MW-1:0];
            end
            FIRST: begin
                ram_re    = two_words;
                ram_raddr = word1[MW-1:0];
                ram_we    = !two_words && ((ram_rdata & mask0) == 64'd0);
                ram_wdata = ram_rdata | mask0;
            end
            SECOND: begin
                ram_we    = ((ram_rdata & mask1) == 64'd0);
                ram_waddr = word1[MW-1:0];
                ram_wdata = ram_rdata | mask1;
            end
            MARK: begin
                ram_we    = 1'b1;
                ram_wdata = kept0;
            end
            CLEAR: begin
                ram_we    = 1'b1;
                ram_waddr = clear_left[MW-1:0];
            end
            default: ;
        endcase
    end

    integer k;
    always @(posedge clk) begin
        rsp_valid  <= 1'b0;
        clear_done <= 1'b0;
        fault      <= 1'b0;
        if (rst) begin
            fsm        <= IDLE;
            slot       <= {SLOT_W{1'b0}};
            word0      <= 24'd0;
            word1      <= 24'd0;
            mask0      <= 64'd0;
            mask1      <= 64'd0;
            kept0      <= 64'd0;
            clear_left <= {MW+1{1'b0}};
            rsp_cause  <= `TTEE_CAUSE_NONE;
            for (k = 0; k < SLOTS; k = k + 1) oldest[k] <= 24'd0;
        end else case (fsm)
            IDLE: begin
                if (clear_valid) begin
                    slot               <= clear_slot;
                    oldest[clear_slot] <= 24'd0;
                    clear_left         <= clear_words - 1'b1;
                    fsm                <= CLEAR;
                end else if (check_valid) begin
                    slot  <= check_slot;
                    word0 <= check_line[29:6];
                    word1 <= last_line[29:6];
                    mask0 <= span[63:0];
                    mask1 <= span[127:64];
                    fsm   <= SEEK;
                end
            end
            SEEK: begin
                if (below) begin
                    rsp_valid <= 1'b1;
                    rsp_cause <= `TTEE_CAUSE_REWRITE;
                    fsm       <= IDLE;
                end else begin
                    fsm <= above ? MOVE : FIRST;
                end
            end
            MOVE: begin
                if (ram_rdata == {64{1'b1}}) begin
                    oldest[slot] <= start + 24'd1;
                    fsm          <= SEEK;
                end else begin
                    rsp_valid <= 1'b1;
                    rsp_cause <= `TTEE_CAUSE_ORDER;
                    fsm       <= IDLE;
                end
            end
            FIRST: begin
                kept0 <= ram_rdata | mask0;
                if ((ram_rdata & mask0) != 64'd0) begin
                    rsp_valid <= 1'b1;
                    rsp_cause <= `TTEE_CAUSE_REWRITE;
                    fsm       <= IDLE;
                end else if (two_words) begin
                    fsm <= SECOND;
                end else begin
                    rsp_valid <= 1'b1;
                    rsp_cause <= `TTEE_CAUSE_NONE;
                    fsm       <= IDLE;
                end
            end
            SECOND: begin
                if ((ram_rdata & mask1) != 64'd0) begin
                    rsp_valid <= 1'b1;
                    rsp_cause <= `TTEE_CAUSE_REWRITE;
                    fsm       <= IDLE;
                end else begin
                    fsm <= MARK;
                end
            end
            MARK: begin
                rsp_valid <= 1'b1;
                rsp_cause <= `TTEE_CAUSE_NONE;
                fsm       <= IDLE;
            end
            CLEAR: begin
                clear_left <= clear_left - 1'b1;
                if (clear_left == {MW+1{1'b0}}) begin
                    clear_done <= 1'b1;
                    fsm        <= IDLE;
                end
            end
            default: begin
                rsp_valid  <= 1'b1;
                rsp_cause  <= `TTEE_CAUSE_NOT_READY;
                clear_done <= 1'b1;
                fault      <= 1'b1;
                fsm        <= IDLE;
            end
        endcase
    end

    wire _unused = &{1'b0, last_line[30], last_line[5:0]};

endmodule

`resetall

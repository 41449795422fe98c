// SPDX-License-Identifier: Apache-2.0
//
// key_unit: owns the key. Computes the round keys, H = AES_K(0), powers of H and the tables
// of powers, does GF(2^128) arithmetic for the command unit, and erases all of it.
//
//   WIPE --tables zero--> no_key --key--> setup --installed--> ready
//   rst, zeroize, a refused key, a state that does not exist: any state --> WIPE
//
// Byte order  key_data is in bus order: the first byte of the key is key_data[7:0]. Every
//             other 128-bit value is in NIST order: the first byte is bits [127:120], which
//             in GF(2^128) makes bit 127 the coefficient of x^0. Example (FIPS 197, appendix
//             A.1): the key 2b 7e .. 3c is key_data = 128'h3c4fcf098815f7aba6d2ae2816157e2b
//             and round_keys[1407:1280] = 128'h2b7e151628aed2a6abf7158809cf4f3c.
// States      at most one of no_key, setup, ready is high; none while tables are erased.
// Key         key_valid && key_ready takes the key; key_ready is high in no_key only. A key
//             with H = 0 or H^4 = 1 is refused: key_refused rises, everything is erased, and
//             key_refused stays high until the next key is taken (or rst). H^4 = 1 means
//             H = 1, because squaring in GF(2^128) is one-to-one.
// round_keys  round key 0 in the top-most 128 bits; zero until the schedule is complete.
// aes_*       borrows an AES lane: a request is taken when aes_req_valid && aes_req_ready;
//             one is outstanding at most. aes_rsp_valid is a pulse. A response must come, if
//             it comes, before the erasure that follows zeroize has ended.
// Constants   h = H, hinv1 = H^-1, hinv2 = H^-2, hinv3 = H^-3, g = H^-4; complete when ready.
// tbl_*       writes tables that others hold, in set-up and, with zeros, in WIPE:
//             tbl_sel 0 .. 4 = p  digit table T_p[d] = g^(d * 64^p), tbl_addr = d = 0 .. 63;
//             tbl_sel 5           beat table B[t] = H^(-LANES * t), tbl_addr = t = 0 .. 256/LANES - 1.
// op_*        in ready only. op_valid && op_ready takes op_kind 0: op_a * op_b; 1: H^op_e;
//             2 (and 3): g^op_e. op_done is a pulse; op_p holds the result until the next
//             operation is taken and is zero before the first and during each.
// Erasure     every register is zero in the cycle after rst or zeroize; the tables are zero
//             322 + 256/LANES cycles after the last cycle of rst or the first of zeroize: a sweep
//             under way goes on whatever zeroize does. Then no_key rises; while zeroize is high,
//             another sweep follows first.
// Latency     key taken to ready: 2840 (LANES 1), 2328 (2), 2072 (4) cycles, + 3 with KEY_W
//             256, + the lane's delay from aes_req_valid to aes_rsp_valid.
//             op taken to op_done: 5 cycles for a product, 4 b + 1 for an exponent of b bits, 2 for
//             the exponent zero.
// fault       a state that does not exist, of the unit or of its arithmetic: everything is erased.
//
// SEC_CM: KEY.INSTALL_ATOMIC - round keys appear only as a whole, ready rises only after the last table entry.
// SEC_CM: KEY.REFUSE_WEAK - a key with H = 0 or H^4 = 1 is erased, not used.
// SEC_CM: KEY.WIPE - rst, zeroize and refusal erase keys and everything derived from them.
// SEC_CM: FSM.SAFE - states differ in at least two bits; a state that does not exist erases the key and is a fatal error.

`resetall
`default_nettype none

module key_unit #(
    parameter KEY_W = 128,  // key width in bits, 128 or 256
    parameter LANES = 1     // AES blocks in a beat, 1, 2 or 4
) (
    input  wire                         clk,
    input  wire                         rst,

    input  wire                         key_valid,
    output wire                         key_ready,
    input  wire [KEY_W-1:0]             key_data,
    input  wire                         zeroize,

    output reg                          no_key,
    output reg                          setup,
    output reg                          ready,
    output reg                          key_refused,
    output wire                         fault,

    output wire [(KEY_W/32+7)*128-1:0]  round_keys,

    output reg                          aes_req_valid,
    input  wire                         aes_req_ready,
    output wire [127:0]                 aes_req_block,
    input  wire                         aes_rsp_valid,
    input  wire [127:0]                 aes_rsp_block,

    output reg  [127:0]                 h,
    output reg  [127:0]                 hinv1,
    output reg  [127:0]                 hinv2,
    output reg  [127:0]                 hinv3,
    output reg  [127:0]                 g,

    output reg                          tbl_we,
    output reg  [2:0]                   tbl_sel,
    output reg  [7:0]                   tbl_addr,
    output reg  [127:0]                 tbl_data,

    input  wire                         op_valid,
    output wire                         op_ready,
    input  wire [1:0]                   op_kind,
    input  wire [127:0]                 op_a,
    input  wire [127:0]                 op_b,
    input  wire [36:0]                  op_e,
    output reg                          op_done,
    output wire [127:0]                 op_p
);

    localparam [127:0] ONE       = {1'b1, 127'd0};
    localparam [2:0]   BEAT_SEL  = 3'd5;
    localparam [7:0]   LAST_BEAT = (LANES == 4) ? 8'd63 : (LANES == 2) ? 8'd127 : 8'd255;

    // Codes of even parity: one flipped bit never leads to another state.
    localparam [4:0] WIPE    = 5'b00000;
    localparam [4:0] NO_KEY  = 5'b10001;
    localparam [4:0] EXPAND  = 5'b10010;
    localparam [4:0] ASK_H   = 5'b00011;
    localparam [4:0] GET_H   = 5'b10100;
    localparam [4:0] INVERT  = 5'b00101;  // acc becomes H^-1
    localparam [4:0] POWER2  = 5'b00110;  // acc becomes H^-2
    localparam [4:0] POWER3  = 5'b10111;  // acc becomes H^-3
    localparam [4:0] POWER4  = 5'b11000;  // acc becomes H^-4
    localparam [4:0] DIGITS  = 5'b01001;
    localparam [4:0] BEATS   = 5'b01010;
    localparam [4:0] READY   = 5'b11011;
    localparam [4:0] OPERATE = 5'b01100;

    localparam [2:0] IDLE     = 3'b000;   // of the arithmetic
    localparam [2:0] MULTIPLY = 3'b011;
    localparam [2:0] SQUARE   = 3'b101;
    localparam [2:0] COLLECT  = 3'b110;

`ifndef SYNTHESIS
    initial begin
        if (KEY_W != 128 && KEY_W != 256) begin
            $error("%m: KEY_W is %0d, must be 128 or 256", KEY_W);
            $finish;
        end
        if (LANES != 1 && LANES != 2 && LANES != 4) begin
            $error("%m: LANES is %0d, must be 1, 2 or 4", LANES);
            $finish;
        end
    end
`endif

    (* fsm_encoding = "none" *)
    reg [4:0] state;
    (* fsm_encoding = "none" *)
    reg [2:0] phase;                       // of the arithmetic

    // Erasure

    wire      bad_h  = (aes_rsp_block == 128'd0) || (aes_rsp_block == ONE);
    wire      refuse = (state == GET_H) && aes_rsp_valid && bad_h;
    reg       known;
    wire      erase  = rst || (zeroize && state != WIPE) || refuse || !known;

    assign fault = !known && !rst;

    always @* begin
        case (state)
            WIPE, NO_KEY, EXPAND, ASK_H, GET_H, INVERT, POWER2, POWER3, POWER4, DIGITS, BEATS, READY, OPERATE:
                     known = (phase == IDLE) || (phase == MULTIPLY) || (phase == SQUARE) || (phase == COLLECT);
            default: known = 1'b0;
        endcase
    end

    // Round keys

    wire             take_key = key_valid && key_ready;
    wire             expanded;
    wire [KEY_W-1:0] key_nist;

    assign key_ready = no_key;

    genvar i;
    generate
        for (i = 0; i < KEY_W / 8; i = i + 1) begin : g_key_byte
            assign key_nist[KEY_W - 8 - 8 * i +: 8] = key_data[8 * i +: 8];
        end
    endgenerate

    aes_key_expand #(
        .KEY_W (KEY_W)
    ) u_expand (
        .clk        (clk),
        .clear      (erase),
        .start      (take_key),
        .key        (key_nist),
        .done       (expanded),
        .round_keys (round_keys)
    );

    // Arithmetic: acc becomes acc * base^exponent, bit by bit from the lowest. The product
    // and the square of one bit are under way together.

    reg  [127:0] acc, base, exponent;
    reg          acc_pending;              // the next product to arrive is for acc
    wire         more = (exponent[127:1] != 127'd0);

    wire         mul_valid = (phase == MULTIPLY && exponent[0]) || phase == SQUARE;
    wire         mul_done;
    wire [127:0] mul_p;

    gf128_mul #(
        .STAGES (2)
    ) u_mul (
        .clk       (clk),
        .clear     (erase),
        .in_valid  (mul_valid),
        .a         ((phase == SQUARE) ? base : acc),
        .b         (base),
        .out_valid (mul_done),
        .p         (mul_p)
    );

    // Operation port

    reg    op_held;                        // acc is the result of an operation
    assign op_ready = ready && (state == READY);
    assign op_p     = op_held ? acc : 128'd0;

    assign aes_req_block = 128'd0;

    // Walk through the tables, for both writing and erasing

    reg  [2:0]   sel;
    reg  [7:0]   addr;
    reg          next_digit;               // acc is g^(64^(p+1)): the base of the next digit table
    wire         sel_end  = (sel == BEAT_SEL) ? (addr == LAST_BEAT) : (addr == 8'd63);
    wire         walk_end = sel_end && (sel == BEAT_SEL);

    always @(posedge clk) begin
        if (erase) begin
            state         <= WIPE;
            no_key        <= 1'b0;
            setup         <= 1'b0;
            ready         <= 1'b0;
            key_refused   <= !rst && (key_refused || refuse);
            aes_req_valid <= 1'b0;
            h             <= 128'd0;
            hinv1         <= 128'd0;
            hinv2         <= 128'd0;
            hinv3         <= 128'd0;
            g             <= 128'd0;
            tbl_we        <= 1'b0;
            tbl_sel       <= 3'd0;
            tbl_addr      <= 8'd0;
            tbl_data      <= 128'd0;
            op_done       <= 1'b0;
            op_held       <= 1'b0;
            acc           <= 128'd0;
            base          <= 128'd0;
            exponent      <= 128'd0;
            phase         <= IDLE;
            acc_pending   <= 1'b0;
            sel           <= 3'd0;
            addr          <= 8'd0;
            next_digit    <= 1'b0;
        end else begin
            tbl_we   <= 1'b0;
            tbl_sel  <= 3'd0;
            tbl_addr <= 8'd0;
            tbl_data <= 128'd0;
            op_done  <= 1'b0;
            no_key   <= (state == NO_KEY) && !take_key;
            ready    <= (state == READY) || (state == OPERATE);
            if (state == READY) setup <= 1'b0;

            if (mul_done) begin
                if (acc_pending) acc <= mul_p;
                else             base <= mul_p;
                acc_pending <= 1'b0;
            end
            case (phase)
                IDLE: begin
                end
                MULTIPLY: begin
                    acc_pending <= exponent[0];
                    phase       <= more ? SQUARE : COLLECT;
                end
                SQUARE: phase <= COLLECT;
                COLLECT: begin
                    if (mul_done && !(acc_pending && more)) begin
                        exponent <= exponent >> 1;
                        phase    <= more ? MULTIPLY : IDLE;
                    end
                end
                default: phase <= IDLE;
            endcase

            case (state)
                WIPE: begin
                    tbl_we   <= 1'b1;
                    tbl_sel  <= sel;
                    tbl_addr <= addr;
                    addr     <= sel_end ? 8'd0 : addr + 8'd1;
                    if (walk_end) begin
                        sel   <= 3'd0;
                        state <= zeroize ? WIPE : NO_KEY;
                    end else if (sel_end) begin
                        sel   <= sel + 3'd1;
                    end
                end

                NO_KEY: begin
                    if (take_key) begin
                        key_refused <= 1'b0;
                        setup       <= 1'b1;
                        state       <= EXPAND;
                    end
                end

                EXPAND: begin
                    if (expanded) begin
                        aes_req_valid <= 1'b1;
                        state         <= ASK_H;
                    end
                end

                ASK_H: begin
                    if (aes_req_ready) begin
                        aes_req_valid <= 1'b0;
                        state         <= GET_H;
                    end
                end

                GET_H: begin
                    if (aes_rsp_valid) begin
                        h        <= aes_rsp_block;
                        acc      <= ONE;
                        base     <= aes_rsp_block;
                        exponent <= {{127{1'b1}}, 1'b0};  // 2^128 - 2
                        phase    <= MULTIPLY;
                        state    <= INVERT;
                    end
                end

                INVERT: begin
                    if (phase == IDLE) begin
                        hinv1    <= acc;
                        base     <= acc;
                        exponent <= 128'd1;
                        phase    <= MULTIPLY;
                        state    <= POWER2;
                    end
                end

                POWER2: begin
                    if (phase == IDLE) begin
                        hinv2    <= acc;
                        exponent <= 128'd1;
                        phase    <= MULTIPLY;
                        state    <= POWER3;
                    end
                end

                POWER3: begin
                    if (phase == IDLE) begin
                        hinv3    <= acc;
                        exponent <= 128'd1;
                        phase    <= MULTIPLY;
                        state    <= POWER4;
                    end
                end

                POWER4: begin
                    if (phase == IDLE) begin
                        g     <= acc;
                        base  <= acc;
                        acc   <= ONE;
                        state <= DIGITS;
                    end
                end

                DIGITS: begin
                    if (phase == IDLE) begin
                        if (next_digit) begin
                            base       <= acc;
                            acc        <= ONE;
                            next_digit <= 1'b0;
                        end else begin
                            tbl_we     <= 1'b1;
                            tbl_sel    <= sel;
                            tbl_addr   <= addr;
                            tbl_data   <= acc;
                            addr       <= sel_end ? 8'd0 : addr + 8'd1;
                            if (sel_end) sel <= sel + 3'd1;
                            if (sel_end && sel == BEAT_SEL - 3'd1) begin
                                acc        <= ONE;
                                base       <= (LANES == 4) ? g : (LANES == 2) ? hinv2 : hinv1;
                                state      <= BEATS;
                            end else begin
                                next_digit <= sel_end;
                                exponent   <= 128'd1;
                                phase      <= MULTIPLY;
                            end
                        end
                    end
                end

                BEATS: begin
                    if (phase == IDLE) begin
                        tbl_we   <= 1'b1;
                        tbl_sel  <= sel;
                        tbl_addr <= addr;
                        tbl_data <= acc;
                        if (walk_end) begin
                            sel      <= 3'd0;
                            addr     <= 8'd0;
                            acc      <= 128'd0;
                            base     <= 128'd0;
                            state    <= READY;
                        end else begin
                            addr     <= addr + 8'd1;
                            exponent <= 128'd1;
                            phase    <= MULTIPLY;
                        end
                    end
                end

                READY: begin
                    if (op_valid && op_ready) begin
                        op_held <= 1'b0;
                        state   <= OPERATE;
                        if (op_kind == 2'd0) begin
                            acc      <= op_a;
                            base     <= op_b;
                            exponent <= 128'd1;
                            phase    <= MULTIPLY;
                        end else begin
                            acc      <= ONE;
                            base     <= (op_kind == 2'd1) ? h : g;
                            exponent <= {91'd0, op_e};
                            phase    <= (op_e == 37'd0) ? IDLE : MULTIPLY;
                        end
                    end
                end

                OPERATE: begin
                    if (phase == IDLE) begin
                        base    <= 128'd0;
                        op_done <= 1'b1;
                        op_held <= 1'b1;
                        state   <= READY;
                    end
                end

                default: state <= WIPE;
            endcase
        end
    end

endmodule

`resetall
